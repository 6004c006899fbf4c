//! The oracle: batch normalization and its relatives in plain float64 loops, written to be read and
//! believed.
//!
//! | | its statistics are those of | gamma and beta are those of |
//! |---|---|---|
//! | [`BatchNorm`], [`BatchRenorm`] | a channel of the whole batch | a channel |
//! | [`LayerNorm`], [`RmsNorm`] | a row, the last dimensions | a place in the row |
//! | [`GroupNorm`] | some channels of a sample | a channel |
//! | [`InstanceNorm`] | a channel of a sample | a channel |
//! | [`WeightNorm`] | a slice of a weight | a slice, as the length g |
//! | [`SpectralNorm`] | a whole weight | |
//!
//! Any norm of activations may be followed by a [`Tail`], which adds a residual and applies relu.
//! [`MaskedBatchNorm`] is batch norm of the valid part of a batch.
//!
//! The variance that normalizes a batch is the biased one, `Σ(x − mean)² / n` over the n elements
//! of a channel, and eps is added to it before the root: `rstd = 1 / √(var + eps)`. The variance
//! that `torch.nn.BatchNorm2d` feeds into its running statistics is the unbiased one, which
//! [`unbiased`] makes of it. Gradients are those of `Σ dy·y` with respect to x, gamma and beta.
//!
//! Tensors are slices in memory order with a [`Shape`]. The channels lie along any one `axis` of
//! it: C is the size of that dimension, N and S are the products of those before and behind it, and
//! `(C)` marks an argument with one value per channel. An absent gamma counts as 1, an absent beta
//! as 0.
//!
//! Nothing here is shared with the code that drives the GPU but the shape itself: the arithmetic
//! and the way from an element to its channel are written twice, so that a mistake in one of them
//! shows. The oracle judges this crate's tests and may judge yours. It panics on arguments that do
//! not fit each other, and accepts what a layer refuses or never sees: one value per channel has
//! variance 0, and an empty batch gives no y and parameter gradients of 0.
//!
//! ```
//! use wgnorm::{Shape, reference};
//!
//! let shape = Shape::from([4, 1]);
//! let layer = reference::BatchNorm {
//!     shape: &shape,
//!     axis: 1,
//!     gamma: Some(&[2.0]),
//!     beta: Some(&[3.0]),
//!     eps: 1e-5,
//! };
//! let x = [1.0, 2.0, 3.0, 4.0];
//! let forward = layer.forward(&x);
//! assert_eq!((forward.mean[0], forward.var[0]), (2.5, 1.25));
//! assert!((forward.y[0] - 0.3167).abs() < 5e-5);
//!
//! let grads = layer.backward(&x, &[1.0, 0.0, 0.0, 0.0]);
//! assert_eq!(grads.dbeta, [1.0]);
//! ```

use std::iter::repeat_n;

use crate::Shape;

mod batch;
mod group;
mod instance;
mod layer;
mod masked;
mod per_sample;
mod renorm;
mod rms;
mod spectral;
mod tail;
mod weight;

pub use batch::{BatchNorm, Forward, Gradients};
pub use group::GroupNorm;
pub use instance::InstanceNorm;
pub use layer::LayerNorm;
pub use masked::MaskedBatchNorm;
pub use renorm::{BatchRenorm, Renormalized};
pub use rms::RmsNorm;
pub use spectral::{Spectral, SpectralNorm};
pub use tail::Tail;
pub use weight::{WeightGradients, WeightNorm};

/// The channel of every element, in memory order.
///
/// # Panics
///
/// If `shape` has no dimension `axis`.
pub fn channels(shape: &Shape, axis: usize) -> impl Iterator<Item = usize> {
    let (n, c, s) = extents(shape, axis);
    (0..n).flat_map(move |_| (0..c).flat_map(move |c| repeat_n(c, s)))
}

/// The sum of the `terms` (`shape`) of each channel: C sums.
///
/// Besides dbeta and dgamma this gives the sum of their terms' magnitudes, which is what the
/// rounding error of a gradient has to be measured against.
///
/// # Panics
///
/// If `shape` has no dimension `axis`, or another number of elements than `terms`.
#[must_use]
pub fn channel_sums(terms: &[f64], shape: &Shape, axis: usize) -> Vec<f64> {
    let (_, c, _) = extents(shape, axis);
    expect_len("terms", terms.len(), shape.numel());
    let mut sums = vec![0.0; c];
    for (term, c) in terms.iter().zip(channels(shape, axis)) {
        sums[c] += term;
    }
    sums
}

/// What [`moments`] and [`InstanceNorm::averaged_moments`] return: the statistics of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// The mean of each channel (C).
    pub mean: Vec<f64>,
    /// The biased variance of each channel (C).
    pub var: Vec<f64>,
    /// How many elements each statistic is of: N·S.
    pub n: usize,
}

/// The mean and the biased variance of each channel of `x` (`shape`), in two passes: first the mean
/// `Σx / n`, then the squared deviations from it, `Σ(x − mean)² / n`.
///
/// These are the mini-batch statistics of Ioffe & Szegedy 2015, algorithm 1. One value per channel
/// has variance 0. An empty batch has none, and both statistics are NaN.
///
/// # Panics
///
/// If `shape` has no dimension `axis`, or another number of elements than `x`.
#[must_use]
pub fn moments(x: &[f64], shape: &Shape, axis: usize) -> Moments {
    let (n, _, s) = extents(shape, axis);
    let n = n * s;
    let over_n = |sums: Vec<f64>| -> Vec<f64> { sums.iter().map(|sum| sum / n as f64).collect() };
    let mean = over_n(channel_sums(x, shape, axis));
    let mut squares = Vec::with_capacity(x.len());
    for (x, c) in x.iter().zip(channels(shape, axis)) {
        squares.push((x - mean[c]) * (x - mean[c]));
    }
    let var = over_n(channel_sums(&squares, shape, axis));
    Moments { mean, var, n }
}

/// The unbiased variances `Σ(x − mean)² / (n − 1)` (C) of which `var` (C) are the biased ones over
/// `n` elements each: Ioffe & Szegedy 2015, algorithm 2, step 10.
///
/// One value per channel has no unbiased variance, and the result is NaN.
#[must_use]
pub fn unbiased(var: &[f64], n: usize) -> Vec<f64> {
    let n = n as f64;
    var.iter().map(|var| var * n / (n - 1.0)).collect()
}

/// Moves running statistics (C) towards those of a batch (C):
/// `running = (1 − weight_of_new)·running + weight_of_new·batch`.
///
/// `weight_of_new` is the `momentum` of `torch.nn.BatchNorm2d`, one minus that of ONNX, Keras and
/// Flax, and 1/t at the t-th batch for the cumulative average, which is torch's `momentum=None`.
/// Whether `batch` is the biased or the [`unbiased`] variance is the caller's choice.
///
/// # Panics
///
/// If the two lengths differ.
pub fn update_running(running: &mut [f64], batch: &[f64], weight_of_new: f64) {
    expect_len("batch", batch.len(), running.len());
    for (running, batch) in running.iter_mut().zip(batch) {
        *running = (1.0 - weight_of_new) * *running + weight_of_new * batch;
    }
}

/// N, C and S: the product of the dimensions before the channel axis, the number of channels, and
/// the product of the dimensions after it.
fn extents(shape: &Shape, axis: usize) -> (usize, usize, usize) {
    let dims = shape.dims();
    assert!(
        axis < dims.len(),
        "channel axis {axis} of the shape {shape}"
    );
    let mut n = 1;
    for dim in &dims[..axis] {
        n *= dim;
    }
    let mut s = 1;
    for dim in &dims[axis + 1..] {
        s *= dim;
    }
    (n, dims[axis], s)
}

fn expect_len(name: &str, got: usize, expected: usize) {
    assert_eq!(got, expected, "the length of {name}");
}
