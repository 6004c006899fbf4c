//! RMS normalization: layer normalization that leaves the mean where it is.

use super::layer::rows;
use super::per_sample::PerSample;
use super::{Forward, Gradients};
use crate::Shape;

/// An RMS-norm layer: Zhang & Sennrich 2019, as `torch.nn.RMSNorm` computes it.
///
/// A row is what the last `normalized_dims` dimensions hold for one index into all the others: R
/// rows of D elements each. All methods panic if there are not that many dimensions or
/// `normalized_dims` is 0, if an argument that has the shape of x has another number of elements
/// than `shape`, or if gamma or beta has another length than D.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsNorm<'a> {
    /// The dimensions of x, y, dx and dy in memory order.
    pub shape: &'a Shape,
    /// How many of these dimensions, counted from the last, make a row.
    pub normalized_dims: usize,
    /// The gains (D), one per place in a row; none is a gain of 1.
    pub gamma: Option<&'a [f64]>,
    /// The offsets (D), which neither the paper nor `torch` has; none is an offset of 0.
    pub beta: Option<&'a [f64]>,
    /// What is added to the mean square before the root.
    pub eps: f64,
}

impl RmsNorm<'_> {
    /// The forward, in training as in evaluation: `y = x·rstd·gamma + beta`, with
    /// `rstd = 1 / √(Σx²/D + eps)` over the row.
    ///
    /// The result's `var` is the mean square Σx²/D (R), its `mean` is the 0 that was taken off (R).
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`RmsNorm`].
    #[must_use]
    pub fn forward(&self, x: &[f64]) -> Forward {
        self.per_sample().forward(x)
    }

    /// The backward through [`forward`](Self::forward): `dbeta = Σdy` and `dgamma = Σ dy·xhat` over
    /// the rows, `dx = rstd·(g − xhat·Σ(g·xhat)/D)` with the sum over the row, where `xhat = x·rstd`
    /// and `g = dy·gamma`.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`RmsNorm`].
    #[must_use]
    pub fn backward(&self, x: &[f64], dy: &[f64]) -> Gradients {
        self.per_sample().backward(x, dy)
    }

    /// The sums of [`backward`](Self::backward) with the magnitudes of all their terms, which is
    /// what their rounding errors have to be measured against.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`RmsNorm`].
    #[must_use]
    pub fn magnitudes(&self, x: &[f64], dy: &[f64]) -> Gradients {
        self.per_sample().magnitudes(x, dy)
    }

    /// The row of every element, in memory order: the index of its statistics.
    ///
    /// # Panics
    ///
    /// If `shape` has fewer than `normalized_dims` dimensions, or this is 0.
    #[must_use]
    pub fn statistics(&self) -> Vec<usize> {
        self.per_sample().statistic
    }

    fn per_sample(&self) -> PerSample<'_> {
        let (rows, row_len) = rows(self.shape, self.normalized_dims);
        PerSample {
            statistic: (0..rows * row_len).map(|i| i / row_len).collect(),
            statistics: rows,
            parameter: (0..rows * row_len).map(|i| i % row_len).collect(),
            parameters: row_len,
            gamma: self.gamma,
            beta: self.beta,
            eps: self.eps,
            centered: false,
        }
    }
}
