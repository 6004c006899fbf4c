//! Weight normalization: a weight as directions and lengths, with nothing of the batch in it.

use super::{channel_sums, channels, expect_len};
use crate::Shape;

/// Weight normalization: Salimans & Kingma 2016, as
/// `torch.nn.utils.parametrizations.weight_norm` computes it.
///
/// A slice is what belongs to one index along dimension `dim`, K slices in all, and its norm is the
/// root of the sum of its squares. A slice of zeros has no direction, and its w is NaN. All methods
/// panic if `shape` has no dimension `dim`, if an argument that has the shape of v has another
/// number of elements than `shape`, or if g has another length than K.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WeightNorm<'a> {
    /// The dimensions of v, w, dw and dv in memory order.
    pub shape: &'a Shape,
    /// Which of these dimensions tells the slices apart, counted from 0.
    pub dim: usize,
}

/// What [`WeightNorm::backward`] returns: the gradients of Σ dw·w.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightGradients {
    /// The gradient with respect to the directions v (the shape of v).
    pub dv: Vec<f64>,
    /// The gradient with respect to the lengths g (K).
    pub dg: Vec<f64>,
}

impl WeightNorm<'_> {
    /// The weight `w = g·v/‖v‖` of the directions `v` (`shape`) and the lengths `g` (K), with the
    /// norm of the slice: Salimans & Kingma 2016, equation 2.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`WeightNorm`].
    #[must_use]
    pub fn forward(&self, v: &[f64], g: &[f64]) -> Vec<f64> {
        let norms = self.norms(v);
        expect_len("g", g.len(), norms.len());
        let mut w = Vec::with_capacity(v.len());
        for (v, k) in v.iter().zip(self.slices()) {
            w.push(g[k] * v / norms[k]);
        }
        w
    }

    /// The norm ‖v‖ of each slice (K).
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`WeightNorm`].
    #[must_use]
    pub fn norms(&self, v: &[f64]) -> Vec<f64> {
        expect_len("v", v.len(), self.shape.numel());
        let squares: Vec<f64> = v.iter().map(|v| v * v).collect();
        let sums = channel_sums(&squares, self.shape, self.dim);
        sums.iter().map(|sum| sum.sqrt()).collect()
    }

    /// The backward through [`forward`](Self::forward): `dg = Σ dw·v/‖v‖` and
    /// `dv = g/‖v‖·(dw − dg·v/‖v‖)`, per slice: Salimans & Kingma 2016, equation 3.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`WeightNorm`].
    #[must_use]
    pub fn backward(&self, v: &[f64], g: &[f64], dw: &[f64]) -> WeightGradients {
        let norms = self.norms(v);
        let directions = self.directions(v, g, dw);
        let terms: Vec<f64> = dw.iter().zip(&directions).map(|(dw, u)| dw * u).collect();
        let dg = channel_sums(&terms, self.shape, self.dim);
        let mut dv = Vec::with_capacity(v.len());
        for ((dw, u), k) in dw.iter().zip(&directions).zip(self.slices()) {
            dv.push(g[k] / norms[k] * (dw - dg[k] * u));
        }
        WeightGradients { dv, dg }
    }

    /// The sums of [`backward`](Self::backward) with the magnitudes of all their terms, which is
    /// what their rounding errors have to be measured against.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`WeightNorm`].
    #[must_use]
    pub fn magnitudes(&self, v: &[f64], g: &[f64], dw: &[f64]) -> WeightGradients {
        let norms = self.norms(v);
        let directions = self.directions(v, g, dw);
        let elements = dw.iter().zip(&directions);
        let terms: Vec<f64> = elements.map(|(dw, u)| (dw * u).abs()).collect();
        let dg = channel_sums(&terms, self.shape, self.dim);
        let mut dv = Vec::with_capacity(v.len());
        for ((dw, u), k) in dw.iter().zip(&directions).zip(self.slices()) {
            dv.push(g[k].abs() / norms[k] * (dw.abs() + dg[k] * u.abs()));
        }
        WeightGradients { dv, dg }
    }

    /// `v/‖v‖`, which is w with lengths of 1, after the checks that both backward passes share.
    fn directions(&self, v: &[f64], g: &[f64], dw: &[f64]) -> Vec<f64> {
        let ones = vec![1.0; self.norms(v).len()];
        expect_len("g", g.len(), ones.len());
        expect_len("dw", dw.len(), self.shape.numel());
        self.forward(v, &ones)
    }

    /// The slice of every element: slices lie in a weight as channels lie in a batch.
    fn slices(&self) -> impl Iterator<Item = usize> {
        channels(self.shape, self.dim)
    }
}
