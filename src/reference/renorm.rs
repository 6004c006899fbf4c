//! Batch renormalization: batch norm held near what the running statistics would give.

use super::{BatchNorm, Gradients, channel_sums, channels, expect_len, moments};
use crate::Shape;

/// A batch-renorm layer without state: Ioffe 2017.
///
/// Evaluation is [`BatchNorm::normalize`] by the running statistics, and these move as batch norm's
/// do: they hold the variance, where the paper has the standard deviation. All methods panic if
/// `shape` has no dimension `axis`, if an argument that has the shape of x has another number of
/// elements than `shape`, if gamma, beta or a statistic has another length than C, the number of
/// channels, or if `r_max` is below 1 or `d_max` below 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchRenorm<'a> {
    /// The dimensions of x, y, dx and dy in memory order.
    pub shape: &'a Shape,
    /// Which of these dimensions is that of the channels, counted from 0.
    pub axis: usize,
    /// The gains (C); none is a gain of 1.
    pub gamma: Option<&'a [f64]>,
    /// The offsets (C); none is an offset of 0.
    pub beta: Option<&'a [f64]>,
    /// What is added to a variance before the root, the batch's and the running one.
    pub eps: f64,
    /// The largest r; the smallest is one over it.
    pub r_max: f64,
    /// The largest magnitude of d.
    pub d_max: f64,
}

/// What [`BatchRenorm::forward`] returns.
#[derive(Clone, Debug, PartialEq)]
pub struct Renormalized {
    /// The output (the shape of x).
    pub y: Vec<f64>,
    /// The mean of each channel in the batch (C).
    pub mean: Vec<f64>,
    /// The biased variance of each channel in the batch (C).
    pub var: Vec<f64>,
    /// `1 / √(var + eps)` of each channel (C).
    pub rstd: Vec<f64>,
    /// How much wider the batch is than the running statistics say (C), clipped.
    pub r: Vec<f64>,
    /// How far the batch is from where the running statistics say (C), in their standard
    /// deviations, clipped.
    pub d: Vec<f64>,
}

impl BatchRenorm<'_> {
    /// The training forward, Ioffe 2017, algorithm 1, with `running_mean` (C) and `running_var` (C)
    /// from before the batch: `y = (xhat·r + d)·gamma + beta`, where `xhat = (x − mean)·rstd`,
    /// `sigma_B = √(var + eps)`, `sigma = √(running_var + eps)`,
    /// `r = clip(sigma_B/sigma, 1/r_max, r_max)` and
    /// `d = clip((mean − running_mean)/sigma, −d_max, d_max)`.
    ///
    /// # Panics
    ///
    /// If lengths or limits do not fit, see [`BatchRenorm`].
    #[must_use]
    pub fn forward(&self, x: &[f64], running_mean: &[f64], running_var: &[f64]) -> Renormalized {
        let batch = moments(x, self.shape, self.axis);
        let (r, d) = self.corrections(&batch.mean, &batch.var, running_mean, running_var);
        let xhat = self.xhat(x);
        let mut y = Vec::with_capacity(x.len());
        for (xhat, c) in xhat.iter().zip(channels(self.shape, self.axis)) {
            let beta = self.beta.map_or(0.0, |beta| beta[c]);
            y.push((xhat * r[c] + d[c]) * self.gamma_of(c) + beta);
        }
        let rstd = batch.var.iter().map(|var| 1.0 / (var + self.eps).sqrt());
        Renormalized {
            y,
            rstd: rstd.collect(),
            mean: batch.mean,
            var: batch.var,
            r,
            d,
        }
    }

    /// The backward through [`forward`](Self::forward), with r and d as constants: `dbeta = Σdy`,
    /// `dgamma = Σ dy·(xhat·r + d)`, and dx as that of batch norm with `gamma·r` for gamma.
    ///
    /// # Panics
    ///
    /// If lengths or limits do not fit, see [`BatchRenorm`].
    #[must_use]
    pub fn backward(
        &self,
        x: &[f64],
        dy: &[f64],
        running_mean: &[f64],
        running_var: &[f64],
    ) -> Gradients {
        let Renormalized { r, d, .. } = self.forward(x, running_mean, running_var);
        let gains = self.gains(&r);
        let Gradients { dx, dbeta, .. } = self.batch_norm(Some(&gains)).backward(x, dy);
        let mut terms = Vec::with_capacity(x.len());
        let elements = dy.iter().zip(self.xhat(x));
        for ((dy, xhat), c) in elements.zip(channels(self.shape, self.axis)) {
            terms.push(dy * (xhat * r[c] + d[c]));
        }
        Gradients {
            dx,
            dgamma: channel_sums(&terms, self.shape, self.axis),
            dbeta,
        }
    }

    /// The sums of [`backward`](Self::backward) with the magnitudes of all their terms, `dy·xhat·r`
    /// and `dy·d` among them, which is what their rounding errors have to be measured against.
    ///
    /// # Panics
    ///
    /// If lengths or limits do not fit, see [`BatchRenorm`].
    #[must_use]
    pub fn magnitudes(
        &self,
        x: &[f64],
        dy: &[f64],
        running_mean: &[f64],
        running_var: &[f64],
    ) -> Gradients {
        let Renormalized { r, d, .. } = self.forward(x, running_mean, running_var);
        let gains = self.gains(&r);
        let Gradients { dx, dbeta, .. } = self.batch_norm(Some(&gains)).magnitudes(x, dy);
        let mut terms = Vec::with_capacity(x.len());
        let elements = dy.iter().zip(self.xhat(x));
        for ((dy, xhat), c) in elements.zip(channels(self.shape, self.axis)) {
            terms.push(dy.abs() * ((xhat * r[c]).abs() + d[c].abs()));
        }
        Gradients {
            dx,
            dgamma: channel_sums(&terms, self.shape, self.axis),
            dbeta,
        }
    }

    /// r and d (C each), after the checks that all methods share.
    fn corrections(
        &self,
        mean: &[f64],
        var: &[f64],
        running_mean: &[f64],
        running_var: &[f64],
    ) -> (Vec<f64>, Vec<f64>) {
        assert!(self.r_max >= 1.0, "r_max is {}", self.r_max);
        assert!(self.d_max >= 0.0, "d_max is {}", self.d_max);
        for (name, values) in [
            ("running_mean", Some(running_mean)),
            ("running_var", Some(running_var)),
            ("gamma", self.gamma),
            ("beta", self.beta),
        ] {
            expect_len(name, values.map_or(mean.len(), <[f64]>::len), mean.len());
        }
        let (mut r, mut d) = (Vec::new(), Vec::new());
        for c in 0..mean.len() {
            let sigma_batch = (var[c] + self.eps).sqrt();
            let sigma = (running_var[c] + self.eps).sqrt();
            r.push((sigma_batch / sigma).clamp(1.0 / self.r_max, self.r_max));
            d.push(((mean[c] - running_mean[c]) / sigma).clamp(-self.d_max, self.d_max));
        }
        (r, d)
    }

    /// `(x − mean)·rstd` by the statistics of the batch.
    fn xhat(&self, x: &[f64]) -> Vec<f64> {
        self.batch_norm(None).forward(x).y
    }

    /// `gamma·r` (C).
    fn gains(&self, r: &[f64]) -> Vec<f64> {
        let gain = |(c, r): (usize, &f64)| self.gamma_of(c) * r;
        r.iter().enumerate().map(gain).collect()
    }

    /// Batch norm with these gains and without offsets.
    fn batch_norm<'a>(&'a self, gamma: Option<&'a [f64]>) -> BatchNorm<'a> {
        BatchNorm {
            shape: self.shape,
            axis: self.axis,
            gamma,
            beta: None,
            eps: self.eps,
        }
    }

    fn gamma_of(&self, c: usize) -> f64 {
        self.gamma.map_or(1.0, |gamma| gamma[c])
    }
}
