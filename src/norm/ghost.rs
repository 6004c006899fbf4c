//! Ghost batch norm: batch norm of sub-batches.

use super::layer::Norm;
use super::options::BatchNormOptions;
use super::spec::{Kind, Spec, Specify, channels_along};
use crate::gpu::Device;
use crate::plan::{Gains, Reduction};
use crate::{Error, Result, Shape, View};

/// Batch normalization by the statistics of sub-batches: of every so many samples, one after the other.
///
/// A large batch then keeps the noise of small ones, which trains networks that generalize better
/// (Hoffer, Hubara & Soudry 2017). Running statistics move once for each forward, by the average of the
/// sub-batches' means and variances as TensorFlow's `virtual_batch_size` does, and inference is that of
/// batch norm.
///
/// ```no_run
/// use wgnorm::{Device, GhostBatchNorm, GhostBatchNormOptions, Tensor};
///
/// fn of_32_samples_each(device: &Device, x: &Tensor) -> wgnorm::Result<Tensor> {
///     let options = GhostBatchNormOptions { samples: 32, ..GhostBatchNormOptions::default() };
///     let norm = GhostBatchNorm::new(device, 64, options)?;
///     let mut step = device.recorder();
///     let (y, _saved) = norm.forward_train(&mut step, x)?; // x is [256, 64, 28, 28]
///     step.submit()?;
///     Ok(y)
/// }
/// ```
pub type GhostBatchNorm = Norm<GhostBatchNormOptions>;

/// Options of [`GhostBatchNorm`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GhostBatchNormOptions {
    /// The samples of a sub-batch. In training the number of samples, which is dimension 0 of x, must be
    /// a multiple of it.
    pub samples: usize,
    /// All else, as for batch norm.
    pub batch: BatchNormOptions,
}

/// Sub-batches of 32.
impl Default for GhostBatchNormOptions {
    fn default() -> Self {
        Self {
            samples: 32,
            batch: BatchNormOptions::default(),
        }
    }
}

impl Specify for GhostBatchNormOptions {
    fn specify(&self, shape: &Shape) -> Result<Spec> {
        if self.samples == 0 {
            return Err(Error::Option {
                name: "samples",
                expected: "at least 1 sample of a sub-batch",
                got: self.samples.to_string(),
            });
        }
        let sample = View::samples(shape, self.batch.channel_axis)?;
        let view = View {
            batch: sample.batch / self.samples,
            outer: sample.outer.saturating_mul(self.samples),
            ..sample
        };
        Ok(Spec {
            reduction: Reduction {
                view,
                fan: 1,
                gains: Gains::Period(view.count),
                ..Reduction::of_slots(view)
            },
            kind: Kind::Averaged,
            sub_batch: Some(self.samples),
            ..self.batch.specify(shape)?
        })
    }

    fn expected(&self, parameters: &Shape) -> String {
        channels_along(self.batch.channel_axis, parameters)
    }
}

impl GhostBatchNorm {
    /// A layer for that many channels with gamma 1, beta 0, running mean 0 and running variance 1.
    pub fn new(device: &Device, channels: usize, options: GhostBatchNormOptions) -> Result<Self> {
        Self::of_channels(channels, options.batch.channel_axis, options)?
            .with_gamma(device)?
            .with_beta(device)?
            .with_running(device)
    }
}
