//! The layer itself: forward and backward, with the statistics of the batch or with given ones.

use super::{channel_sums, channels, expect_len, extents, moments};
use crate::Shape;

/// A batch-norm layer without state: everything that does not change from batch to batch.
///
/// All methods panic if `shape` has no dimension `axis`, if an argument that has the shape of x
/// has another number of elements than `shape`, or if gamma, beta or a statistic has another length
/// than C, the number of channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm<'a> {
    /// The dimensions of x, y, dx and dy in memory order.
    pub shape: &'a Shape,
    /// Which of these dimensions is that of the channels, counted from 0.
    pub axis: usize,
    /// The gains (C); none is a gain of 1.
    pub gamma: Option<&'a [f64]>,
    /// The offsets (C); none is an offset of 0. No gradient depends on them.
    pub beta: Option<&'a [f64]>,
    /// What is added to the variance before the root.
    pub eps: f64,
}

/// What [`BatchNorm::forward`] returns, and that of the norms of single samples, where a statistic
/// is that of a row, a group or an instance instead of a channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward {
    /// The output (the shape of x).
    pub y: Vec<f64>,
    /// The mean of each channel (C).
    pub mean: Vec<f64>,
    /// The biased variance of each channel (C).
    pub var: Vec<f64>,
    /// `1 / √(var + eps)` of each channel (C).
    pub rstd: Vec<f64>,
}

/// What the backward passes return: the gradients of Σ dy·y.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients {
    /// The gradient with respect to x (the shape of x).
    pub dx: Vec<f64>,
    /// The gradient with respect to gamma (its length), also where there is no gamma.
    pub dgamma: Vec<f64>,
    /// The gradient with respect to beta (its length), also where there is no beta.
    pub dbeta: Vec<f64>,
}

impl BatchNorm<'_> {
    /// The training forward, by the statistics of `x` itself: Ioffe & Szegedy 2015, algorithm 1.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`BatchNorm`].
    #[must_use]
    pub fn forward(&self, x: &[f64]) -> Forward {
        let batch = moments(x, self.shape, self.axis);
        Forward {
            y: self.normalize(x, &batch.mean, &batch.var),
            rstd: self.rstd(&batch.var),
            mean: batch.mean,
            var: batch.var,
        }
    }

    /// The forward by given statistics, `mean` (C) and `var` (C):
    /// `y = (x − mean)·rstd·gamma + beta`.
    ///
    /// With running statistics it is evaluation, Ioffe & Szegedy 2015, algorithm 2, step 11.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`BatchNorm`].
    #[must_use]
    pub fn normalize(&self, x: &[f64], mean: &[f64], var: &[f64]) -> Vec<f64> {
        let xhat = self.xhat(x, mean, var);
        let mut y = Vec::with_capacity(x.len());
        for (xhat, c) in xhat.iter().zip(channels(self.shape, self.axis)) {
            y.push(xhat * self.gamma_of(c) + self.beta.map_or(0.0, |beta| beta[c]));
        }
        y
    }

    /// The backward through [`forward`](Self::forward), where the statistics depend on `x`:
    /// `dbeta = Σdy`, `dgamma = Σ dy·xhat`,
    /// `dx = gamma·rstd·(dy − dbeta/n − xhat·dgamma/n)`, where `xhat = (x − mean)·rstd`.
    ///
    /// These are the derivatives of Ioffe & Szegedy 2015, section 3, with those of the mean and
    /// the variance put into that of x; the term with `Σ(x − mean)` is 0 and gone.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`BatchNorm`].
    #[must_use]
    pub fn backward(&self, x: &[f64], dy: &[f64]) -> Gradients {
        let batch = moments(x, self.shape, self.axis);
        let n = batch.n as f64;
        let rstd = self.rstd(&batch.var);
        let xhat = self.xhat(x, &batch.mean, &batch.var);
        let (dgamma, dbeta) = self.parameter_gradients(&xhat, dy);
        let mut dx = Vec::with_capacity(x.len());
        for ((dy, xhat), c) in dy.iter().zip(&xhat).zip(channels(self.shape, self.axis)) {
            let inner = dy - dbeta[c] / n - xhat * dgamma[c] / n;
            dx.push(self.gamma_of(c) * rstd[c] * inner);
        }
        Gradients { dx, dgamma, dbeta }
    }

    /// The backward through [`normalize`](Self::normalize), where `mean` (C) and `var` (C) are
    /// constants, as in evaluation and in a frozen layer: `dbeta = Σdy`, `dgamma = Σ dy·xhat`,
    /// `dx = dy·gamma·rstd`, where `xhat = (x − mean)·rstd`.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`BatchNorm`].
    #[must_use]
    pub fn backward_frozen(&self, x: &[f64], dy: &[f64], mean: &[f64], var: &[f64]) -> Gradients {
        let rstd = self.rstd(var);
        let xhat = self.xhat(x, mean, var);
        let (dgamma, dbeta) = self.parameter_gradients(&xhat, dy);
        let mut dx = Vec::with_capacity(x.len());
        for (dy, c) in dy.iter().zip(channels(self.shape, self.axis)) {
            dx.push(dy * self.gamma_of(c) * rstd[c]);
        }
        Gradients { dx, dgamma, dbeta }
    }

    /// The sums of [`backward`](Self::backward) with the magnitudes of all their terms, which is
    /// what their rounding errors have to be measured against.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`BatchNorm`].
    #[must_use]
    pub fn magnitudes(&self, x: &[f64], dy: &[f64]) -> Gradients {
        let batch = moments(x, self.shape, self.axis);
        let n = batch.n as f64;
        let rstd = self.rstd(&batch.var);
        let size = |values: &[f64]| -> Vec<f64> { values.iter().map(|v| v.abs()).collect() };
        let (xhat, dy) = (size(&self.xhat(x, &batch.mean, &batch.var)), size(dy));
        let (dgamma, dbeta) = self.parameter_gradients(&xhat, &dy);
        let mut dx = Vec::with_capacity(x.len());
        for ((dy, xhat), c) in dy.iter().zip(&xhat).zip(channels(self.shape, self.axis)) {
            let inner = dy + dbeta[c] / n + xhat * dgamma[c] / n;
            dx.push(self.gamma_of(c).abs() * rstd[c] * inner);
        }
        Gradients { dx, dgamma, dbeta }
    }

    /// `(x − mean)·rstd`, after the checks that all methods share.
    fn xhat(&self, x: &[f64], mean: &[f64], var: &[f64]) -> Vec<f64> {
        expect_len("x", x.len(), self.shape.numel());
        self.expect_per_channel("gamma", self.gamma);
        self.expect_per_channel("beta", self.beta);
        self.expect_per_channel("mean", Some(mean));
        self.expect_per_channel("var", Some(var));
        let rstd = self.rstd(var);
        let mut xhat = Vec::with_capacity(x.len());
        for (x, c) in x.iter().zip(channels(self.shape, self.axis)) {
            xhat.push((x - mean[c]) * rstd[c]);
        }
        xhat
    }

    /// dgamma and dbeta, which are the same sums whatever xhat was made with.
    fn parameter_gradients(&self, xhat: &[f64], dy: &[f64]) -> (Vec<f64>, Vec<f64>) {
        expect_len("dy", dy.len(), self.shape.numel());
        let products: Vec<f64> = dy.iter().zip(xhat).map(|(dy, xhat)| dy * xhat).collect();
        let dgamma = channel_sums(&products, self.shape, self.axis);
        let dbeta = channel_sums(dy, self.shape, self.axis);
        (dgamma, dbeta)
    }

    fn rstd(&self, var: &[f64]) -> Vec<f64> {
        var.iter()
            .map(|var| 1.0 / (var + self.eps).sqrt())
            .collect()
    }

    fn gamma_of(&self, c: usize) -> f64 {
        self.gamma.map_or(1.0, |gamma| gamma[c])
    }

    fn expect_per_channel(&self, name: &str, values: Option<&[f64]>) {
        let (_, c, _) = extents(self.shape, self.axis);
        if let Some(values) = values {
            expect_len(name, values.len(), c);
        }
    }
}
