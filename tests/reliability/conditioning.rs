//! The error of y where the mean is far above the standard deviation, beside what a variance from
//! E[x²] - E[x]² makes of the same values, and beside PyTorch.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};
use wgnorm::{Device, reference};

use crate::bounds::l2;
use crate::case::{Case, Inputs};
use crate::effort::Effort;
use crate::plans;
use crate::report::Report;

mod picture;

/// The tests' bound of y, at every decade.
const BOUND: f64 = 3e-7;
const SHAPE: [usize; 4] = [16, 8, 28, 28];
const DECADES: u32 = 7;

/// |mean| / std is 10 to the `decade`.
#[derive(Serialize)]
struct Figures {
    decade: u32,
    /// The worst of both classes of device with every strategy that applies.
    y_l2: f64,
    naive_l2: f64,
}

/// What `conditioning_torch.py` measured, of the same distribution and in the same shape.
#[derive(Deserialize, Serialize)]
struct Torch {
    version: String,
    device: String,
    shape: [usize; 4],
    y_l2: Vec<f64>,
}

pub(crate) fn run(device: &Device, _: &Effort, report: &mut Report) {
    report.seeds("conditioning", &[0, DECADES.into()]);
    let torch: Torch = serde_json::from_str(include_str!("conditioning_torch.json")).unwrap();
    assert_eq!(torch.shape, SHAPE, "PyTorch's figures are of another shape");
    let mut all = Vec::new();
    for decade in 0..=DECADES {
        match catch_unwind(AssertUnwindSafe(|| measure(device, decade))) {
            Ok(figures) => {
                if figures.y_l2 > BOUND {
                    let y_l2 = figures.y_l2;
                    report.violation(format!(
                        "y is off by {y_l2:.1e} at |mean| / std of 1e{decade}"
                    ));
                }
                all.push(figures);
            }
            Err(_) => report.violation(format!("|mean| / std of 1e{decade} panicked")),
        }
    }
    if let Err(error) = picture::draw(&all, &torch) {
        report.violation(format!("no picture of the conditioning: {error}"));
    }
    report.set("conditioning", &all);
    report.set("conditioning_torch", &torch);
}

fn measure(device: &Device, decade: u32) -> Figures {
    let case = Case {
        offset: f64::from(10_u32.pow(decade)),
        seed: decade.into(),
        ..Case::new(SHAPE, 1)
    };
    let inputs = case.inputs();
    let want = case.expected(&inputs).y;
    let y_l2 = plans::all(device, &case).into_iter().map(|plan| {
        let got = case.clone().planned(plan).run(device, &inputs);
        l2(&got.y, &want, &want)
    });
    Figures {
        decade,
        y_l2: y_l2.fold(0.0, f64::max),
        naive_l2: l2(&naive(&case, &inputs), &want, &want),
    }
}

/// y as it comes of sums of x and of x², all in f32. The sums themselves are taken in pairs, which
/// costs them next to nothing: what is left is the difference of two large numbers.
fn naive(case: &Case, inputs: &Inputs) -> Vec<f32> {
    let channels: Vec<usize> = reference::channels(&case.shape, 1).collect();
    let mut of_channel = vec![Vec::new(); case.channels()];
    for (&x, &c) in inputs.x.iter().zip(&channels) {
        of_channel[c].push(x);
    }
    let statistics = of_channel.iter().map(|values| {
        let squares: Vec<f32> = values.iter().map(|x| x * x).collect();
        let n = values.len() as f32;
        let mean = pairwise(values) / n;
        // Rounding may take it below 0, as implementations know.
        let var = (pairwise(&squares) / n - mean * mean).max(0.0);
        (mean, 1.0 / (var + case.options.eps as f32).sqrt())
    });
    let statistics: Vec<(f32, f32)> = statistics.collect();
    let elements = inputs.x.iter().zip(&channels);
    let y = elements.map(|(x, &c)| {
        let (mean, rstd) = statistics[c];
        (x - mean) * rstd * inputs.gamma[c] + inputs.beta[c]
    });
    y.collect()
}

fn pairwise(values: &[f32]) -> f32 {
    match values {
        [] => 0.0,
        [value] => *value,
        _ => {
            let (a, b) = values.split_at(values.len() / 2);
            pairwise(a) + pairwise(b)
        }
    }
}
