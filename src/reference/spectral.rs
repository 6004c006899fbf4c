//! Spectral normalization: a weight over its largest singular value, found by power iteration.

use super::{expect_len, extents};
use crate::Shape;

/// Spectral normalization: Miyato, Kataoka, Koyama & Yoshida 2018, algorithm 1, as
/// `torch.nn.utils.spectral_norm` computes it.
///
/// The weight is seen as a matrix W of H rows, one per index along dimension `dim`, with the L
/// elements that share the index as its columns, in memory order: `dim` moved first and the rest
/// flattened. All methods panic if `shape` has no dimension `dim`, if an argument that has the
/// shape of the weight has another number of elements than `shape`, if u has another length than H,
/// or v than L.
///
/// An iteration makes v of u and then u of v, the order of the paper, so that u alone is the state
/// to keep. The newer `torch.nn.utils.parametrizations.spectral_norm` makes u of v first: its
/// iteration from a given v is the second half of one here and the first half of the next. Both
/// find the same value, but u, v and sigma differ until they have found it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpectralNorm<'a> {
    /// The dimensions of the weight, w, dw and dweight in memory order.
    pub shape: &'a Shape,
    /// Which of these dimensions has the rows of the matrix, counted from 0.
    pub dim: usize,
    /// The least that u and v are divided by; `torch` has 1e-12.
    pub eps: f64,
}

/// What [`SpectralNorm::forward`] returns.
#[derive(Clone, Debug, PartialEq)]
pub struct Spectral {
    /// The normalized weight (the shape of the weight).
    pub w: Vec<f64>,
    /// The left singular vector (H) as far as the iterations found it.
    pub u: Vec<f64>,
    /// The right singular vector (L) as far as the iterations found it.
    pub v: Vec<f64>,
    /// `uᵀWv`, which iterations raise towards the largest singular value.
    pub sigma: f64,
}

impl SpectralNorm<'_> {
    /// The forward: `iterations` times `v = normalize(Wᵀu)` and `u = normalize(Wv)`, where
    /// `normalize(a) = a / max(‖a‖, eps)`, then `sigma = uᵀWv` and `w = weight/sigma`.
    ///
    /// No iterations leave `u` (H) and `v` (L) as they are, which is evaluation. Otherwise the first
    /// one replaces `v`, whatever it was. Where neither gives a v, it is `normalize(Wᵀu)`.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`SpectralNorm`].
    #[must_use]
    pub fn forward(
        &self,
        weight: &[f64],
        u: &[f64],
        v: Option<&[f64]>,
        iterations: usize,
    ) -> Spectral {
        let (rows, columns) = self.extents_of_matrix();
        expect_len("u", u.len(), rows);
        expect_len("v", v.map_or(columns, <[f64]>::len), columns);
        let mut u = u.to_vec();
        let mut v = v.map_or_else(|| self.right_of(weight, &u), <[f64]>::to_vec);
        for _ in 0..iterations {
            v = self.right_of(weight, &u);
            u = self.left_of(weight, &v);
        }
        let sigma = self.sigma(weight, &u, &v);
        Spectral {
            w: weight.iter().map(|weight| weight / sigma).collect(),
            u,
            v,
            sigma,
        }
    }

    /// The backward through `w = weight/sigma` and `sigma = uᵀWv`, with `u` (H) and `v` (L) as the
    /// forward returned them for constants: `dweight = (dw − (Σ dw·w)·u·vᵀ)/sigma`.
    ///
    /// It is that of `torch`, and Miyato et al. 2018, equation 12, whose λ is Σ dw·w.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`SpectralNorm`].
    #[must_use]
    pub fn backward(&self, weight: &[f64], u: &[f64], v: &[f64], dw: &[f64]) -> Vec<f64> {
        expect_len("dw", dw.len(), self.shape.numel());
        let sigma = self.sigma(weight, u, v);
        let mut sum = 0.0;
        for (dw, weight) in dw.iter().zip(weight) {
            sum += dw * weight / sigma;
        }
        let mut dweight = Vec::with_capacity(dw.len());
        for (dw, (row, column)) in dw.iter().zip(self.places()) {
            dweight.push((dw - sum * u[row] * v[column]) / sigma);
        }
        dweight
    }

    /// The sums of [`backward`](Self::backward) with the magnitudes of all their terms, which is
    /// what their rounding errors have to be measured against.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`SpectralNorm`].
    #[must_use]
    pub fn magnitudes(&self, weight: &[f64], u: &[f64], v: &[f64], dw: &[f64]) -> Vec<f64> {
        expect_len("dw", dw.len(), self.shape.numel());
        let sigma = self.sigma(weight, u, v).abs();
        let mut sum = 0.0;
        for (dw, weight) in dw.iter().zip(weight) {
            sum += (dw * weight).abs() / sigma;
        }
        let mut dweight = Vec::with_capacity(dw.len());
        for (dw, (row, column)) in dw.iter().zip(self.places()) {
            dweight.push((dw.abs() + sum * (u[row] * v[column]).abs()) / sigma);
        }
        dweight
    }

    /// `uᵀWv`, after the checks of everything that it needs.
    fn sigma(&self, weight: &[f64], u: &[f64], v: &[f64]) -> f64 {
        let (rows, columns) = self.extents_of_matrix();
        expect_len("weight", weight.len(), self.shape.numel());
        expect_len("u", u.len(), rows);
        expect_len("v", v.len(), columns);
        let mut sigma = 0.0;
        for (weight, (row, column)) in weight.iter().zip(self.places()) {
            sigma += u[row] * weight * v[column];
        }
        sigma
    }

    /// `normalize(Wᵀu)` (L).
    fn right_of(&self, weight: &[f64], u: &[f64]) -> Vec<f64> {
        let (_, columns) = self.extents_of_matrix();
        expect_len("weight", weight.len(), self.shape.numel());
        let mut v = vec![0.0; columns];
        for (weight, (row, column)) in weight.iter().zip(self.places()) {
            v[column] += weight * u[row];
        }
        self.normalize(&v)
    }

    /// `normalize(Wv)` (H).
    fn left_of(&self, weight: &[f64], v: &[f64]) -> Vec<f64> {
        let (rows, _) = self.extents_of_matrix();
        let mut u = vec![0.0; rows];
        for (weight, (row, column)) in weight.iter().zip(self.places()) {
            u[row] += weight * v[column];
        }
        self.normalize(&u)
    }

    fn normalize(&self, a: &[f64]) -> Vec<f64> {
        let norm = a.iter().map(|a| a * a).sum::<f64>().sqrt();
        a.iter().map(|a| a / norm.max(self.eps)).collect()
    }

    /// H and L.
    fn extents_of_matrix(&self) -> (usize, usize) {
        let (before, rows, after) = extents(self.shape, self.dim);
        (rows, before * after)
    }

    /// The row and the column of every element of the weight, in its memory order.
    fn places(&self) -> impl Iterator<Item = (usize, usize)> {
        let (before, rows, after) = extents(self.shape, self.dim);
        (0..before).flat_map(move |b| {
            (0..rows).flat_map(move |row| (0..after).map(move |a| (row, b * after + a)))
        })
    }
}
