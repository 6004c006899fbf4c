//! Cases whose sums are exact in any order: mean, variance and dbeta have no error at all.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde::Serialize;
use wgnorm::{DType, Device};

use crate::case::Case;
use crate::effort::Effort;
use crate::integers::integers;
use crate::plans;
use crate::report::Report;

#[derive(Default, Serialize)]
struct Figures {
    cases: u64,
    max_ulp: u64,
}

pub(crate) fn run(device: &Device, effort: &Effort, report: &mut Report) {
    report.seeds("exact", &[0, effort.exact - 1]);
    let mut figures = Figures::default();
    for seed in 0..effort.exact {
        let mut rng = Pcg64::seed_from_u64(seed);
        let case = draw(device, &mut rng, seed);
        figures.cases += 1;
        match catch_unwind(AssertUnwindSafe(|| ulps(device, &case, &mut rng))) {
            Ok(0) => {}
            Ok(ulps) => {
                figures.max_ulp = figures.max_ulp.max(ulps);
                report.violation(format!("exact case {seed}: {ulps} ULP, {case:?}"));
            }
            Err(_) => report.violation(format!("exact case {seed} panicked, {case:?}")),
        }
    }
    report.set("exact", &figures);
}

/// Any number of channels, of which each has a power of two of values, and any way to run them.
fn draw(device: &Device, rng: &mut Pcg64, seed: u64) -> Case {
    let channels = rng.random_range(1..=20);
    let bits = rng.random_range(1..=12);
    let outer = rng.random_range(0..=bits);
    let height = rng.random_range(0..=bits - outer);
    let [outer, height, width] = [outer, height, bits - outer - height].map(|bits| 1_usize << bits);
    let (shape, axis) = match rng.random_range(0..5) {
        0 => (vec![outer * height * width, channels], 1),
        1 => (vec![outer, channels, height * width], 1),
        2 => (vec![outer, channels, height, width], 1),
        3 => (vec![outer, height, width, channels], 3),
        _ => (vec![channels, outer, height * width], 0),
    };
    let case = Case {
        seed,
        dtype: [DType::F32, DType::F16, DType::Bf16][rng.random_range(0..3)],
        ..Case::new(shape, axis)
    };
    let plans = plans::all(device, &case);
    case.planned(*plans.choose(rng).expect("the planner's own choice"))
}

/// The largest distance of a mean, a variance or a dbeta from what it is.
fn ulps(device: &Device, case: &Case, rng: &mut Pcg64) -> u64 {
    let inputs = integers(case, rng);
    let (got, want) = (case.run(device, &inputs), case.expected(&inputs));
    let mean = got.mean.iter().zip(&want.mean);
    let var = got.var.iter().zip(&want.var);
    let dbeta = got.dbeta.iter().zip(&want.gradients.dbeta);
    let all = mean.chain(var).chain(dbeta);
    all.map(|(got, want)| distance(*got, *want))
        .max()
        .unwrap_or(0)
}

fn distance(got: f32, want: f64) -> u64 {
    let nearest = want as f32;
    assert_eq!(f64::from(nearest), want, "f32 cannot hold what is expected");
    // As integers in the order of the values; both zeros are one value.
    let rank = |value: f32| {
        let size = i64::from(value.abs().to_bits());
        if value < 0.0 { -size } else { size }
    };
    rank(got).abs_diff(rank(nearest))
}
