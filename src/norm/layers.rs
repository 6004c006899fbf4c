//! One type for each norm, and how to make it.

use super::layer::Norm;
use super::options::BatchNormOptions;
use super::relatives::{
    BatchRenormOptions, GroupNormOptions, InstanceNormOptions, LayerNormOptions, RmsNormOptions,
};
use super::spec::NormOptions;
use crate::gpu::Device;
use crate::{Error, Result, Shape};

/// Batch normalization over the channels of a tensor.
///
/// The mean and the *biased* variance of each channel normalize it; `running_var` follows the
/// *unbiased* one, and the momentum of 0.1 is the weight of the *new* batch, all as in PyTorch and
/// each a type in [`BatchNormOptions`] for those who come from elsewhere. Channels lie along
/// dimension 1 unless the options say so.
pub type BatchNorm = Norm<BatchNormOptions>;

/// Layer normalization: mean and biased variance of each row of the last dimensions, with a gamma and
/// a beta for each element of a row. Training and inference are the same.
pub type LayerNorm = Norm<LayerNormOptions>;

/// RMS normalization: each row over the root of its mean square, with a gamma for each element of a
/// row, as in PyTorch; [`with_beta`](Norm::with_beta) adds a beta.
pub type RmsNorm = Norm<RmsNormOptions>;

/// Group normalization: mean and biased variance of each group of channels of a sample, with a gamma
/// and a beta for each channel. Training and inference are the same.
pub type GroupNorm = Norm<GroupNormOptions>;

/// Instance normalization: mean and biased variance of each channel of a sample. As in PyTorch it has
/// neither gamma, beta nor running statistics unless they are asked for.
pub type InstanceNorm = Norm<InstanceNormOptions>;

/// Batch renormalization: batch norm that is corrected, in training, towards what the running
/// statistics would have made of x. Small or odd batches then cost less at inference.
pub type BatchRenorm = Norm<BatchRenormOptions>;

impl<O: NormOptions> Norm<O> {
    /// A layer for that many channels along a dimension, without parameters.
    pub(super) fn of_channels(channels: usize, axis: usize, options: O) -> Result<Self> {
        if channels > 0 {
            return Self::bare(Shape::from([channels]), options, &example(axis, channels));
        }
        Err(Error::Shape {
            name: "channels",
            expected: "at least 1".to_owned(),
            got: Shape::from([0]),
        })
    }
}

/// A shape that has so many channels along the axis and else nothing.
fn example(axis: usize, channels: usize) -> Shape {
    let mut dims = vec![1; axis.saturating_add(1).clamp(2, 64)];
    if let Some(dim) = dims.get_mut(axis) {
        *dim = channels;
    }
    Shape::from(dims)
}

impl BatchNorm {
    /// A layer for that many channels with gamma 1, beta 0, running mean 0 and running variance 1.
    pub fn new(device: &Device, channels: usize, options: BatchNormOptions) -> Result<Self> {
        Self::of_channels(channels, options.channel_axis, options)?
            .with_gamma(device)?
            .with_beta(device)?
            .with_running(device)
    }

    /// The same layer without running statistics: inference then uses those of its batch.
    #[must_use]
    pub fn without_running_statistics(self) -> Self {
        self.without_running()
    }
}

impl LayerNorm {
    /// A layer for rows of that shape, the last dimensions of x, with gamma 1 and beta 0. It sets
    /// [`normalized_dims`](LayerNormOptions::normalized_dims) to their number.
    pub fn new(
        device: &Device,
        normalized_shape: impl Into<Shape>,
        options: LayerNormOptions,
    ) -> Result<Self> {
        let shape = normalized_shape.into();
        let options = LayerNormOptions {
            normalized_dims: shape.rank(),
            ..options
        };
        Self::bare(shape.clone(), options, &shape)?
            .with_gamma(device)?
            .with_beta(device)
    }
}

impl RmsNorm {
    /// A layer for rows of that shape, the last dimensions of x, with gamma 1. It sets
    /// [`normalized_dims`](RmsNormOptions::normalized_dims) to their number.
    pub fn new(
        device: &Device,
        normalized_shape: impl Into<Shape>,
        options: RmsNormOptions,
    ) -> Result<Self> {
        let shape = normalized_shape.into();
        let options = RmsNormOptions {
            normalized_dims: shape.rank(),
            ..options
        };
        Self::bare(shape.clone(), options, &shape)?.with_gamma(device)
    }
}

impl GroupNorm {
    /// A layer for that many channels in [`groups`](GroupNormOptions::groups), with gamma 1 and beta 0.
    pub fn new(device: &Device, channels: usize, options: GroupNormOptions) -> Result<Self> {
        Self::of_channels(channels, options.channel_axis, options)?
            .with_gamma(device)?
            .with_beta(device)
    }
}

impl InstanceNorm {
    /// A layer for that many channels without gamma, beta and running statistics; see
    /// [`with_gamma`](Norm::with_gamma), [`with_beta`](Norm::with_beta) and
    /// [`with_running_statistics`](Self::with_running_statistics).
    pub fn new(channels: usize, options: InstanceNormOptions) -> Result<Self> {
        Self::of_channels(channels, options.channel_axis, options)
    }

    /// The same layer with running mean 0 and running variance 1, which training moves by the average
    /// over the samples and inference then normalizes by.
    pub fn with_running_statistics(self, device: &Device) -> Result<Self> {
        self.with_running(device)
    }
}

impl BatchRenorm {
    /// A layer for that many channels with gamma 1, beta 0, running mean 0 and running variance 1. It
    /// is batch norm at first, `r_max` 1 and `d_max` 0, if a [`RenormSchedule`] is to move them.
    pub fn new(device: &Device, channels: usize, options: BatchRenormOptions) -> Result<Self> {
        Self::of_channels(channels, options.channel_axis, options)?
            .with_gamma(device)?
            .with_beta(device)?
            .with_running(device)
    }

    /// Sets `(r_max, d_max)` for the forwards from now on; their backwards keep to them.
    pub fn set_limits(&mut self, (r_max, d_max): (f64, f64)) {
        self.options.r_max = r_max;
        self.options.d_max = d_max;
    }
}

/// How the limits of a batch renorm widen over the steps of a training: `(1, 0)`, which is batch norm,
/// until step `start`, then linearly, r to `r_max` by step `r_end` and d to `d_max` by step `d_end`.
///
/// ```
/// let schedule = wgnorm::RenormSchedule::default();
/// assert_eq!(schedule.at(5_000), (1.0, 0.0));
/// assert_eq!(schedule.at(15_000), (1.0 + 2.0 * 10.0 / 35.0, 2.5));
/// assert_eq!(schedule.at(40_000), (3.0, 5.0));
/// let open = wgnorm::RenormSchedule { d_max: f64::INFINITY, ..schedule };
/// assert_eq!(open.at(5_000), (1.0, 0.0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RenormSchedule {
    /// The last step of plain batch norm.
    pub start: u64,
    /// The step at which r reaches `r_max`.
    pub r_end: u64,
    /// The step at which d reaches `d_max`.
    pub d_end: u64,
    /// The final limit of r.
    pub r_max: f64,
    /// The final limit of d.
    pub d_max: f64,
}

/// The schedule of Ioffe 2017, section 4.
impl Default for RenormSchedule {
    fn default() -> Self {
        Self {
            start: 5_000,
            r_end: 40_000,
            d_end: 25_000,
            r_max: 3.0,
            d_max: 5.0,
        }
    }
}

impl RenormSchedule {
    /// `(r_max, d_max)` at a step, for [`BatchRenorm::set_limits`].
    #[must_use]
    pub fn at(&self, step: u64) -> (f64, f64) {
        let progress = |end: u64| {
            let whole = end.saturating_sub(self.start).max(1);
            let done = step.saturating_sub(self.start).min(whole);
            done as f64 / whole as f64
        };
        // No limit is infinite, of which no part is 0.
        let part = |of: f64, progress: f64| if progress > 0.0 { of * progress } else { 0.0 };
        (
            1.0 + part(self.r_max - 1.0, progress(self.r_end)),
            part(self.d_max, progress(self.d_end)),
        )
    }
}
