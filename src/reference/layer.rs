//! Layer normalization: the statistics of a row, whatever else is in the batch.

use super::per_sample::PerSample;
use super::{Forward, Gradients};
use crate::Shape;

/// A layer-norm layer: Ba, Kiros & Hinton 2016, as `torch.nn.LayerNorm` computes it.
///
/// A row is what the last `normalized_dims` dimensions hold for one index into all the others: R
/// rows of D elements each. All methods panic if there are not that many dimensions or
/// `normalized_dims` is 0, if an argument that has the shape of x has another number of elements
/// than `shape`, or if gamma or beta has another length than D.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerNorm<'a> {
    /// The dimensions of x, y, dx and dy in memory order.
    pub shape: &'a Shape,
    /// How many of these dimensions, counted from the last, make a row.
    pub normalized_dims: usize,
    /// The gains (D), one per place in a row; none is a gain of 1.
    pub gamma: Option<&'a [f64]>,
    /// The offsets (D), one per place in a row; none is an offset of 0.
    pub beta: Option<&'a [f64]>,
    /// What is added to the variance before the root.
    pub eps: f64,
}

impl LayerNorm<'_> {
    /// The forward, in training as in evaluation: `y = (x − mean)·rstd·gamma + beta`, with the mean
    /// and the biased variance of the row (R).
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`LayerNorm`].
    #[must_use]
    pub fn forward(&self, x: &[f64]) -> Forward {
        self.per_sample().forward(x)
    }

    /// The backward through [`forward`](Self::forward): `dbeta = Σdy` and `dgamma = Σ dy·xhat` over
    /// the rows, `dx = rstd·(g − Σg/D − xhat·Σ(g·xhat)/D)` with sums over the row, where
    /// `xhat = (x − mean)·rstd` and `g = dy·gamma`.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`LayerNorm`].
    #[must_use]
    pub fn backward(&self, x: &[f64], dy: &[f64]) -> Gradients {
        self.per_sample().backward(x, dy)
    }

    /// The sums of [`backward`](Self::backward) with the magnitudes of all their terms, which is
    /// what their rounding errors have to be measured against.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`LayerNorm`].
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
            centered: true,
        }
    }
}

/// R and D: the products of the dimensions before the last `normalized_dims`, and of these.
pub(super) fn rows(shape: &Shape, normalized_dims: usize) -> (usize, usize) {
    let dims = shape.dims();
    assert!(
        (1..=dims.len()).contains(&normalized_dims),
        "normalized_dims {normalized_dims} of the shape {shape}"
    );
    let (before, within) = dims.split_at(dims.len() - normalized_dims);
    (before.iter().product(), within.iter().product())
}
