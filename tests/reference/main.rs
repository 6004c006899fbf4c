//! The oracle against three witnesses that do not know it: finite differences of its own forward,
//! what `PyTorch` computed in float64, and examples worked out by hand.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;

mod differences;
mod family_differences;
mod family_edges;
mod family_golden;
mod family_properties;
mod family_worked;
mod golden;
mod masked;
mod masked_edges;
mod properties;
mod tail;
mod tail_golden;
mod worked;

/// Standard normal numbers that every run and every machine draws alike.
fn normals(seed: u64, len: usize) -> Vec<f64> {
    StandardNormal
        .sample_iter(Pcg64::seed_from_u64(seed))
        .take(len)
        .collect()
}

/// Every element within `tolerance`, absolute below 1 and relative above.
fn assert_close(name: &str, got: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "the length of {name}");
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!(
            approx::relative_eq!(got, expected, epsilon = tolerance, max_relative = tolerance),
            "{name}[{i}] is {got}, expected {expected}"
        );
    }
}
