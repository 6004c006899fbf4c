//! Instance normalization: the statistics of each channel of each sample.

use super::{Forward, Gradients, GroupNorm, Moments, extents};
use crate::Shape;

/// An instance-norm layer: Ulyanov, Vedaldi & Lempitsky 2016, as `torch.nn.InstanceNorm2d` computes
/// it; group norm whose groups are single channels.
///
/// Dimension 0 counts the B samples, dimension `axis` the C channels. There are B·C statistics,
/// those of a sample's channels next to each other. All methods panic if `axis` is 0 or no
/// dimension, if an argument that has the shape of x has another number of elements than `shape`,
/// or if gamma or beta has another length than C.
///
/// Evaluation by running statistics (C) is [`BatchNorm::normalize`](super::BatchNorm::normalize),
/// its backward is [`BatchNorm::backward_frozen`](super::BatchNorm::backward_frozen).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InstanceNorm<'a> {
    /// The dimensions of x, y, dx and dy in memory order.
    pub shape: &'a Shape,
    /// Which of these dimensions is that of the channels, counted from 0, which is the samples'.
    pub axis: usize,
    /// The gains (C); none is a gain of 1.
    pub gamma: Option<&'a [f64]>,
    /// The offsets (C); none is an offset of 0.
    pub beta: Option<&'a [f64]>,
    /// What is added to the variance before the root.
    pub eps: f64,
}

impl InstanceNorm<'_> {
    /// The forward by the statistics of `x` itself: `y = (x − mean)·rstd·gamma + beta`, with the
    /// mean and the biased variance of the sample's channel (B·C).
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`InstanceNorm`].
    #[must_use]
    pub fn forward(&self, x: &[f64]) -> Forward {
        self.single_channels().forward(x)
    }

    /// The backward through [`forward`](Self::forward): `dbeta = Σdy` and `dgamma = Σ dy·xhat` over
    /// the channel in all samples, `dx = rstd·(g − Σg/n − xhat·Σ(g·xhat)/n)` with sums over the n
    /// elements of the sample's channel, where `xhat = (x − mean)·rstd` and `g = dy·gamma`.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`InstanceNorm`].
    #[must_use]
    pub fn backward(&self, x: &[f64], dy: &[f64]) -> Gradients {
        self.single_channels().backward(x, dy)
    }

    /// The sums of [`backward`](Self::backward) with the magnitudes of all their terms, which is
    /// what their rounding errors have to be measured against.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`InstanceNorm`].
    #[must_use]
    pub fn magnitudes(&self, x: &[f64], dy: &[f64]) -> Gradients {
        self.single_channels().magnitudes(x, dy)
    }

    /// Which of the B·C statistics every element counts in, in memory order.
    ///
    /// # Panics
    ///
    /// If shape and axis do not fit each other, see [`InstanceNorm`].
    #[must_use]
    pub fn statistics(&self) -> Vec<usize> {
        self.single_channels().statistics()
    }

    /// What running statistics are moved by: the statistics of each channel (C), averaged over the
    /// samples, with the n elements that each of them is of.
    ///
    /// Samples count alike, so an update by the average is the average of the updates by each
    /// sample, which is how `torch.nn.InstanceNorm2d` puts it. Give the result to
    /// [`update_running`](super::update_running), the variance through [`unbiased`](super::unbiased)
    /// to do as torch does. No samples have no average, and the result is NaN.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`InstanceNorm`].
    #[must_use]
    pub fn averaged_moments(&self, x: &[f64]) -> Moments {
        let Forward { mean, var, .. } = self.forward(x);
        let (before, channels, after) = extents(self.shape, self.axis);
        let samples = self.shape.dims()[0];
        let average = |statistics: &[f64]| -> Vec<f64> {
            let mut sums = vec![0.0; channels];
            for (i, statistic) in statistics.iter().enumerate() {
                sums[i % channels] += statistic;
            }
            sums.iter().map(|sum| sum / samples as f64).collect()
        };
        Moments {
            mean: average(&mean),
            var: average(&var),
            n: before / samples.max(1) * after,
        }
    }

    fn single_channels(&self) -> GroupNorm<'_> {
        let (_, channels, _) = extents(self.shape, self.axis);
        GroupNorm {
            shape: self.shape,
            axis: self.axis,
            groups: channels,
            gamma: self.gamma,
            beta: self.beta,
            eps: self.eps,
        }
    }
}
