//! Folding on the host: a folded layer against the layer and the norm one after the other, both by a
//! direct float64 convolution. No GPU.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod agreement;
mod convolution;
mod refusals;
mod scale_shift;

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use wgnorm::folding::Frozen;

/// Standard normal numbers that every run and every machine draws alike, others for each draw of a seed.
fn normals(seed: u64, draw: u64, len: usize) -> Vec<f32> {
    let rng = Pcg64::seed_from_u64(seed.wrapping_mul(1000).wrapping_add(draw));
    let normal = StandardNormal.sample_iter(rng);
    normal.map(|v: f64| v as f32).take(len).collect()
}

/// A norm of so many channels, with means about as large as the values, and an eps that counts: the
/// variances go down to it.
fn norm(seed: u64, channels: usize, gamma: bool, beta: bool) -> Frozen {
    let mut rng = Pcg64::seed_from_u64(seed);
    let vars = (0..channels).map(|_| 10.0_f32.powf(rng.random_range(-3.0..1.0)));
    let var = vars.collect();
    let draw = |draw| normals(seed, draw, channels);
    Frozen {
        gamma: gamma.then(|| draw(1)),
        beta: beta.then(|| draw(2)),
        mean: draw(3),
        var,
        eps: 1e-3,
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}
