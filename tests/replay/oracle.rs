//! What the float64 oracle says of a request, and how far from it a result may be.

use std::collections::BTreeMap;

use safetensors::tensor::Dtype;

use crate::types::half_unit;
use crate::{Request, Results, norm};

mod activations;
mod weights;

/// A result as it should be.
pub(crate) struct Wanted {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f64>,
    pub(crate) dtype: Dtype,
    sizes: Sizes,
    pub(crate) bound: f64,
}

/// What an error is measured by.
enum Sizes {
    /// The norm of all errors by this.
    All(f64),
    /// Each by its own.
    Each(Vec<f64>),
    /// Any is too much.
    None,
}

/// All results by name, `num_batches_tracked` among them.
pub(crate) type AllWanted = BTreeMap<&'static str, Wanted>;

impl Wanted {
    /// The error of values, whether against these or more exact ones, in the measure of the bound.
    /// What the type that they are stored in rounds away is none.
    pub(crate) fn error(&self, got: &[f64], want: &[f64]) -> f64 {
        assert_eq!(got.len(), want.len());
        let beyond = |(got, want): (&f64, &f64)| {
            let error = (got - want).abs();
            let stored = (error - half_unit(self.dtype, *want)).max(0.0);
            // The greater of NaN and 0 is 0.
            if error.is_nan() { error } else { stored }
        };
        let errors: Vec<f64> = got.iter().zip(want).map(beyond).collect();
        let ratio = |error: f64, size: f64| if error == 0.0 { 0.0 } else { error / size };
        let ratios = match &self.sizes {
            Sizes::All(size) => vec![ratio(norm(&errors), *size)],
            Sizes::Each(sizes) => {
                let pairs = errors.iter().zip(sizes);
                pairs.map(|(error, size)| ratio(*error, *size)).collect()
            }
            Sizes::None => vec![f64::from(u8::from(got != want))],
        };
        let finite = ratios
            .into_iter()
            .map(|r| if r.is_finite() { r } else { f64::INFINITY });
        finite.fold(0.0, f64::max)
    }

    fn all(shape: &[usize], values: Vec<f64>, size: f64) -> Self {
        Self {
            shape: shape.to_vec(),
            values,
            dtype: Dtype::F32,
            sizes: Sizes::All(size),
            bound: 3e-7,
        }
    }

    /// Stored in another type.
    fn stored(self, dtype: Dtype) -> Self {
        Self { dtype, ..self }
    }

    /// To the last bit.
    fn exact(shape: &[usize], values: Vec<f64>) -> Self {
        Self {
            sizes: Sizes::None,
            bound: 0.0,
            ..Self::all(shape, values, 1.0)
        }
    }

    /// By the norm of the values themselves.
    fn itself(shape: &[usize], values: Vec<f64>) -> Self {
        let size = norm(&values);
        Self::all(shape, values, size)
    }

    /// A sum, by the sum of its terms' magnitudes.
    fn sum(shape: &[usize], values: Vec<f64>, terms: &[f64]) -> Self {
        Self {
            bound: 2e-7,
            ..Self::all(shape, values, norm(terms))
        }
    }

    /// A mean, by its magnitude and the spread around it.
    fn mean(shape: &[usize], values: Vec<f64>, var: &[f64]) -> Self {
        let each = values.iter().zip(var).map(|(m, v)| m.abs() + v.sqrt());
        Self {
            sizes: Sizes::Each(each.collect()),
            bound: 2e-7,
            ..Self::all(shape, values, 1.0)
        }
    }
}

/// All that should come out. Rounding may open a gate that float64 closes, so that what passes a relu is
/// read from the y that did come out, which has its own bound.
pub(crate) fn wanted(request: &Request, results: &Results) -> AllWanted {
    match request.metadata["op"].as_str() {
        "weight_norm" => weights::weight_norm(request),
        "spectral_norm" => weights::spectral_norm(request),
        _ => activations::wanted(request, results),
    }
}

/// Runs the request and compares everything that comes out, and that nothing else does.
pub(crate) fn check(request: &Request) {
    let Some(results) = request.results() else {
        return;
    };
    let wanted = wanted(request, &results);
    let what = || {
        let tensors = request.tensors.iter();
        let shapes = tensors.map(|(name, (dtype, shape, _))| (name, dtype, shape));
        format!("{:?} of {:?}", request.metadata, shapes.collect::<Vec<_>>())
    };
    assert_eq!(results.names(), wanted.keys().copied().collect::<Vec<_>>());
    for (name, wanted) in &wanted {
        let got = if *name == "num_batches_tracked" {
            vec![results.num_batches_tracked() as f64]
        } else {
            results.wide(name, &wanted.shape, wanted.dtype)
        };
        let (error, bound) = (wanted.error(&got, &wanted.values), wanted.bound);
        assert!(
            error <= bound,
            "{}: {name} is off by {error:e}, allowed are {bound:e}",
            what()
        );
    }
}
