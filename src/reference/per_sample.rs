//! What layer, RMS, group and instance norm have in common: statistics of parts of one sample.
//!
//! They differ only in which elements share a mean and a variance, which share a gain and an
//! offset, and in whether the mean is taken off. Here both are lists with one entry per element, so
//! that the arithmetic is written once and knows nothing of dimensions.

use super::{Forward, Gradients, expect_len};

/// A norm whose statistics and parameters are shared by any elements at all.
pub(super) struct PerSample<'a> {
    /// Which statistic every element of x counts in (the shape of x).
    pub(super) statistic: Vec<usize>,
    /// How many statistics there are.
    pub(super) statistics: usize,
    /// Which entry of gamma and beta every element of x is scaled and moved by (the shape of x).
    pub(super) parameter: Vec<usize>,
    /// How many entries gamma and beta have.
    pub(super) parameters: usize,
    /// The gains (one per parameter); none is a gain of 1.
    pub(super) gamma: Option<&'a [f64]>,
    /// The offsets (one per parameter); none is an offset of 0.
    pub(super) beta: Option<&'a [f64]>,
    /// What is added to the variance before the root.
    pub(super) eps: f64,
    /// Whether the mean is taken off. If not, it counts as 0, and the variance is `Σx² / n`.
    pub(super) centered: bool,
}

impl PerSample<'_> {
    /// `y = xhat·gamma + beta`, where `xhat = (x − mean)·rstd`.
    pub(super) fn forward(&self, x: &[f64]) -> Forward {
        self.check(x);
        let mean = if self.centered {
            self.averages(x)
        } else {
            vec![0.0; self.statistics]
        };
        let mut squares = Vec::with_capacity(x.len());
        for (x, &s) in x.iter().zip(&self.statistic) {
            squares.push((x - mean[s]) * (x - mean[s]));
        }
        let var = self.averages(&squares);
        let rstd: Vec<f64> = var.iter().map(|v| 1.0 / (v + self.eps).sqrt()).collect();
        let mut y = Vec::with_capacity(x.len());
        for ((x, &s), &p) in x.iter().zip(&self.statistic).zip(&self.parameter) {
            let xhat = (x - mean[s]) * rstd[s];
            y.push(xhat * self.gamma_of(p) + self.beta.map_or(0.0, |beta| beta[p]));
        }
        Forward { y, mean, var, rstd }
    }

    /// `dbeta = Σdy` and `dgamma = Σ dy·xhat` over the elements that share the parameter. With
    /// `g = dy·gamma`, the gradient of xhat, `dx = rstd·(g − Σg/n − xhat·Σ(g·xhat)/n)`, the sums over
    /// the n elements that share the statistic. The term with Σg is the mean's and goes with it.
    ///
    /// The difference to batch norm is that gamma varies among the elements of a statistic and
    /// has to stay within the sums.
    pub(super) fn backward(&self, x: &[f64], dy: &[f64]) -> Gradients {
        let (xhat, rstd) = self.xhat(x, dy);
        let g = self.gradient_of_xhat(dy);
        let mean_g = self.averages(&g);
        let mean_gx = self.averages(&products(&g, &xhat));
        let mut dx = Vec::with_capacity(x.len());
        for ((g, xhat), &s) in g.iter().zip(&xhat).zip(&self.statistic) {
            let through_mean = if self.centered { mean_g[s] } else { 0.0 };
            dx.push(rstd[s] * (g - through_mean - xhat * mean_gx[s]));
        }
        Gradients {
            dx,
            dgamma: self.parameter_sums(&products(dy, &xhat)),
            dbeta: self.parameter_sums(dy),
        }
    }

    /// The sums of [`backward`](Self::backward) with the magnitudes of all their terms.
    pub(super) fn magnitudes(&self, x: &[f64], dy: &[f64]) -> Gradients {
        let (xhat, rstd) = self.xhat(x, dy);
        let g = magnitudes_of(&self.gradient_of_xhat(dy));
        let (xhat, dy) = (magnitudes_of(&xhat), magnitudes_of(dy));
        let mean_g = self.averages(&g);
        let mean_gx = self.averages(&products(&g, &xhat));
        let mut dx = Vec::with_capacity(x.len());
        for ((g, xhat), &s) in g.iter().zip(&xhat).zip(&self.statistic) {
            let through_mean = if self.centered { mean_g[s] } else { 0.0 };
            dx.push(rstd[s] * (g + through_mean + xhat * mean_gx[s]));
        }
        Gradients {
            dx,
            dgamma: self.parameter_sums(&products(&dy, &xhat)),
            dbeta: self.parameter_sums(&dy),
        }
    }

    /// `(x − mean)·rstd` and rstd: what the forward gives without gamma and beta.
    fn xhat(&self, x: &[f64], dy: &[f64]) -> (Vec<f64>, Vec<f64>) {
        expect_len("dy", dy.len(), self.statistic.len());
        let Forward { mean, rstd, .. } = self.forward(x);
        let mut xhat = Vec::with_capacity(x.len());
        for (x, &s) in x.iter().zip(&self.statistic) {
            xhat.push((x - mean[s]) * rstd[s]);
        }
        (xhat, rstd)
    }

    fn gradient_of_xhat(&self, dy: &[f64]) -> Vec<f64> {
        let elements = dy.iter().zip(&self.parameter);
        elements.map(|(dy, &p)| dy * self.gamma_of(p)).collect()
    }

    /// The average of the terms (the shape of x) of each statistic; NaN where it has none.
    fn averages(&self, terms: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.statistics];
        let mut counts = vec![0.0; self.statistics];
        for (term, &s) in terms.iter().zip(&self.statistic) {
            sums[s] += term;
            counts[s] += 1.0;
        }
        sums.iter().zip(&counts).map(|(sum, n)| sum / n).collect()
    }

    /// The sum of the terms (the shape of x) of each parameter.
    fn parameter_sums(&self, terms: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.parameters];
        for (term, &p) in terms.iter().zip(&self.parameter) {
            sums[p] += term;
        }
        sums
    }

    fn gamma_of(&self, p: usize) -> f64 {
        self.gamma.map_or(1.0, |gamma| gamma[p])
    }

    fn check(&self, x: &[f64]) {
        expect_len("x", x.len(), self.statistic.len());
        for (name, values) in [("gamma", self.gamma), ("beta", self.beta)] {
            if let Some(values) = values {
                expect_len(name, values.len(), self.parameters);
            }
        }
    }
}

fn products(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a * b).collect()
}

fn magnitudes_of(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| value.abs()).collect()
}
