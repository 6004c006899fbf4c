//! Group normalization: the statistics of some neighboring channels of one sample.

use super::per_sample::PerSample;
use super::{Forward, Gradients, channels};
use crate::Shape;

/// A group-norm layer: Wu & He 2018, as `torch.nn.GroupNorm` computes it.
///
/// Dimension 0 counts the B samples, dimension `axis` the C channels, and G `groups` share these
/// evenly: the first group has the first C/G channels. There are B·G statistics, those of a
/// sample's groups next to each other. All methods panic if `axis` is 0 or no dimension, if
/// `groups` is 0 or does not divide C, if an argument that has the shape of x has another number of
/// elements than `shape`, or if gamma or beta has another length than C.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNorm<'a> {
    /// The dimensions of x, y, dx and dy in memory order.
    pub shape: &'a Shape,
    /// Which of these dimensions is that of the channels, counted from 0, which is the samples'.
    pub axis: usize,
    /// Into how many groups the channels are divided.
    pub groups: usize,
    /// The gains (C); none is a gain of 1.
    pub gamma: Option<&'a [f64]>,
    /// The offsets (C); none is an offset of 0.
    pub beta: Option<&'a [f64]>,
    /// What is added to the variance before the root.
    pub eps: f64,
}

impl GroupNorm<'_> {
    /// The forward, in training as in evaluation: `y = (x − mean)·rstd·gamma + beta`, with the mean
    /// and the biased variance of the sample's group (B·G), gamma and beta of the channel.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`GroupNorm`].
    #[must_use]
    pub fn forward(&self, x: &[f64]) -> Forward {
        self.per_sample().forward(x)
    }

    /// The backward through [`forward`](Self::forward): `dbeta = Σdy` and `dgamma = Σ dy·xhat` over
    /// the channel in all samples, `dx = rstd·(g − Σg/n − xhat·Σ(g·xhat)/n)` with sums over the n
    /// elements of the sample's group, where `xhat = (x − mean)·rstd` and `g = dy·gamma`.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`GroupNorm`].
    #[must_use]
    pub fn backward(&self, x: &[f64], dy: &[f64]) -> Gradients {
        self.per_sample().backward(x, dy)
    }

    /// The sums of [`backward`](Self::backward) with the magnitudes of all their terms, which is
    /// what their rounding errors have to be measured against.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`GroupNorm`].
    #[must_use]
    pub fn magnitudes(&self, x: &[f64], dy: &[f64]) -> Gradients {
        self.per_sample().magnitudes(x, dy)
    }

    /// Which of the B·G statistics every element counts in, in memory order.
    ///
    /// # Panics
    ///
    /// If shape, axis and groups do not fit each other, see [`GroupNorm`].
    #[must_use]
    pub fn statistics(&self) -> Vec<usize> {
        self.per_sample().statistic
    }

    fn per_sample(&self) -> PerSample<'_> {
        let (shape, axis, groups) = (self.shape, self.axis, self.groups);
        assert!(
            axis > 0,
            "channel axis 0 of the shape {shape} is the samples'"
        );
        let parameter: Vec<usize> = channels(shape, axis).collect();
        let (samples, c) = (shape.dims()[0], shape.dims()[axis]);
        assert!(
            groups > 0 && c % groups == 0,
            "{groups} groups of {c} channels"
        );
        let per_group = c / groups;
        // A channel is the index along its axis, and so is a sample along dimension 0.
        let places = channels(shape, 0).zip(&parameter);
        let statistic = places.map(|(sample, c)| sample * groups + c / per_group);
        PerSample {
            statistic: statistic.collect(),
            statistics: samples * groups,
            parameter,
            parameters: c,
            gamma: self.gamma,
            beta: self.beta,
            eps: self.eps,
            centered: true,
        }
    }
}
