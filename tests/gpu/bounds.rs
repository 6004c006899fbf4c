//! The accuracy that every result must have, and how far from float64 each was.

use wgnorm::{DType, Device, Statistics};

use crate::case::{Case, Expected, Inputs, Outputs};
use crate::stored::hold_rounded;

/// y, dx, rstd and running variance: relative L2. One f32 rounding is 6e-8.
const L2: f64 = 3e-7;
/// mean and running mean, by |mean| + std; dgamma and dbeta, by the sum of their terms' sizes.
pub(crate) const SUM: f64 = 2e-7;
/// dgamma and dbeta over all channels where they do not cancel: relative L2.
pub(crate) const SUM_L2: f64 = 1e-6;

/// The errors of one case, each in the measure of its bound.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Errors {
    pub(crate) y: f64,
    pub(crate) mean: f64,
    pub(crate) rstd: f64,
    pub(crate) running: f64,
    pub(crate) dx: f64,
    pub(crate) dgamma: f64,
    pub(crate) dbeta: f64,
}

impl Errors {
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            y: self.y.max(other.y),
            mean: self.mean.max(other.mean),
            rstd: self.rstd.max(other.rstd),
            running: self.running.max(other.running),
            dx: self.dx.max(other.dx),
            dgamma: self.dgamma.max(other.dgamma),
            dbeta: self.dbeta.max(other.dbeta),
        }
    }
}

/// Runs the case on random inputs and holds every output against its bound.
pub(crate) fn check(device: &Device, case: &Case) -> Errors {
    let inputs = case.inputs();
    let outputs = case.run(device, &inputs);
    compare(case, &inputs, &outputs, &case.expected(&inputs))
}

/// Holds every output against its bound.
pub(crate) fn compare(case: &Case, inputs: &Inputs, got: &Outputs, want: &Expected) -> Errors {
    let forward = compare_forward(case, inputs, got, want);
    let (dx, dgamma, dbeta) = compare_backward(case, got, want);
    Errors {
        dx,
        dgamma,
        dbeta,
        ..forward
    }
}

fn hold(case: &Case, name: &str, error: f64, bound: f64) -> f64 {
    assert!(
        error <= bound,
        "{case:?}: {name} is off by {error:.2e}, bound {bound:.0e}"
    );
    error
}

/// Holds every error against the bound beside it.
pub(crate) fn hold_all(case: &impl std::fmt::Debug, errors: &[(&str, (f64, f64))]) {
    for (name, (error, bound)) in errors {
        assert!(
            error <= bound,
            "{case:?}: {name} is off by {error:.2e}, bound {bound:.0e}"
        );
    }
}

/// Holds what sums of small integers give to the last place.
pub(crate) fn compare_exact(case: &Case, got: &Outputs, want: &Expected) {
    let exact = |name: &str, got: &[f32], want: &[f64]| {
        let got: Vec<f64> = got.iter().map(|&v| f64::from(v)).collect();
        assert_eq!(got, want, "{case:?}: {name}");
    };
    exact("mean", &got.mean, &want.mean);
    exact("variance", &got.var, &want.var);
    exact("dbeta", &got.dbeta, &want.gradients.dbeta);
}

/// Holds y, the statistics and the running update against their bounds.
pub(crate) fn compare_forward(
    case: &Case,
    inputs: &Inputs,
    got: &Outputs,
    want: &Expected,
) -> Errors {
    let hold = |name, error, bound| hold(case, name, error, bound);
    let std: Vec<f64> = want.var.iter().map(|var| var.sqrt()).collect();
    let sizes: Vec<f64> = want
        .mean
        .iter()
        .zip(&std)
        .map(|(m, s)| m.abs() + s)
        .collect();
    let mean = hold("mean", worst(&got.mean, &want.mean, &sizes), SUM);
    let rstd = hold("rstd", l2(&got.rstd, &want.rstd, &want.rstd), L2);
    let y = if case.dtype == DType::F32 {
        hold("y", l2(&got.y, &want.y, &want.y), L2)
    } else {
        hold_rounded(case, "y", (&got.y, &want.y, &want.y_terms), case.dtype);
        l2(&got.y, &want.y, &want.y)
    };

    let moved = case.running && case.mode.update_running;
    if !moved {
        assert!(
            got.running_mean == inputs.running_mean,
            "{case:?}: running_mean moved"
        );
        assert!(
            got.running_var == inputs.running_var,
            "{case:?}: running_var moved"
        );
    }
    assert_eq!(
        got.tracked,
        inputs.tracked + u32::from(moved),
        "{case:?}: batches tracked"
    );
    let sizes: Vec<f64> = sizes
        .iter()
        .zip(&want.running_mean)
        .map(|(s, m)| s + m.abs())
        .collect();
    let running = hold(
        "running_mean",
        worst(&got.running_mean, &want.running_mean, &sizes),
        SUM,
    )
    .max(hold(
        "running_var",
        l2(&got.running_var, &want.running_var, &want.running_var),
        L2,
    ));
    Errors {
        y,
        mean,
        rstd,
        running,
        ..Errors::default()
    }
}

/// Holds dx, dgamma and dbeta against their bounds.
fn compare_backward(case: &Case, got: &Outputs, want: &Expected) -> (f64, f64, f64) {
    let hold = |name, error, bound| hold(case, name, error, bound);
    let gradients = &want.gradients;
    // With few values per channel most of dy is taken out again, so dx cancels.
    let cancels = case.mode.statistics == Statistics::Batch && case.n() < 16;
    let dx_sizes = if cancels {
        &want.dx_terms
    } else {
        &gradients.dx
    };
    let dx = if case.dtype == DType::F32 {
        hold("dx", l2(&got.dx, &gradients.dx, dx_sizes), L2)
    } else {
        let dx = (&got.dx[..], &gradients.dx[..], &want.dx_terms[..]);
        hold_rounded(case, "dx", dx, case.dtype);
        l2(&got.dx, &gradients.dx, dx_sizes)
    };
    let sum = |name, got: &[f32], want: &[f64], terms: &[f64], by_channel| {
        if norm(want) > 0.1 * norm(terms) {
            hold(name, l2(got, want, want), SUM_L2);
        }
        let error = if by_channel {
            worst(got, want, terms)
        } else {
            l2(got, want, terms)
        };
        hold(name, error, SUM)
    };
    // With few values per channel the worst of many channels has an xhat that is off by more than
    // the bound even where every f32 operation is rounded correctly (simulated: 7e-7 for n = 3, 6e-7
    // for n = 20, of 16,384 channels), so dgamma is measured over all channels there.
    let (terms, enough) = (&want.dgamma_terms, case.n() >= 256);
    let dgamma = sum("dgamma", &got.dgamma, &gradients.dgamma, terms, enough);
    let dbeta = sum(
        "dbeta",
        &got.dbeta,
        &gradients.dbeta,
        &want.dbeta_terms,
        true,
    );
    (dx, dgamma, dbeta)
}

/// The L2 norm of the error by that of `sizes`; NaN anywhere counts as infinite.
pub(crate) fn l2(got: &[f32], want: &[f64], sizes: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let error: Vec<f64> = got
        .iter()
        .zip(want)
        .map(|(g, w)| f64::from(*g) - w)
        .collect();
    finite(ratio(norm(&error), norm(sizes)))
}

/// The largest error by its own size.
pub(crate) fn worst(got: &[f32], want: &[f64], sizes: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let errors = got.iter().zip(want).zip(sizes);
    errors
        .map(|((g, w), s)| finite(ratio((f64::from(*g) - w).abs(), *s)))
        .fold(0.0, f64::max)
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}

fn ratio(error: f64, size: f64) -> f64 {
    if error == 0.0 { 0.0 } else { error / size }
}

fn finite(error: f64) -> f64 {
    if error.is_finite() {
        error
    } else {
        f64::INFINITY
    }
}
