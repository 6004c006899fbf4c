//! Which norm is measured, and what its options are.

use clap::ValueEnum;
use wgnorm::functional::{self, Backward, Cost, Forward, Operation};
use wgnorm::{
    Activation, BatchNormOptions, DType, Device, GroupNormOptions, InstanceNormOptions,
    LayerNormOptions, Mode, PlanOptions, Recorder, Result, RmsNormOptions, Shape, Statistics,
};

/// A norm by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Norm {
    Batch,
    Layer,
    Rms,
    /// Of eight groups.
    Group,
    Instance,
}

/// The options of a norm.
pub(crate) enum Options {
    Batch(BatchNormOptions),
    Layer(LayerNormOptions),
    Rms(RmsNormOptions),
    Group(GroupNormOptions),
    Instance(InstanceNormOptions),
}

macro_rules! with {
    ($options:expr, $inner:ident => $body:expr) => {
        match $options {
            Options::Batch($inner) => $body,
            Options::Layer($inner) => $body,
            Options::Rms($inner) => $body,
            Options::Group($inner) => $body,
            Options::Instance($inner) => $body,
        }
    };
}

impl Norm {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Layer => "layer",
            Self::Rms => "rms",
            Self::Group => "group",
            Self::Instance => "instance",
        }
    }

    /// Whether each row has its statistics, and each of its elements a gain.
    pub(crate) fn is_of_rows(self) -> bool {
        matches!(self, Self::Layer | Self::Rms)
    }

    pub(crate) fn options(self, channel_axis: usize, plan: PlanOptions) -> Options {
        match self {
            Self::Batch => Options::Batch(batch_options(channel_axis, plan)),
            Self::Layer => Options::Layer(LayerNormOptions {
                plan,
                ..LayerNormOptions::default()
            }),
            Self::Rms => Options::Rms(RmsNormOptions {
                plan,
                ..RmsNormOptions::default()
            }),
            Self::Group => Options::Group(GroupNormOptions {
                groups: 8,
                channel_axis,
                plan,
                ..GroupNormOptions::default()
            }),
            Self::Instance => Options::Instance(InstanceNormOptions {
                channel_axis,
                plan,
                ..InstanceNormOptions::default()
            }),
        }
    }
}

/// Those of batch norm.
pub(crate) fn batch_options(channel_axis: usize, plan: PlanOptions) -> BatchNormOptions {
    BatchNormOptions {
        channel_axis,
        plan,
        ..BatchNormOptions::default()
    }
}

impl Options {
    pub(crate) fn followed_by(mut self, activation: Activation) -> Self {
        with!(&mut self, options => options.activation = activation);
        self
    }

    pub(crate) fn state_len(&self, device: &Device, shape: &Shape) -> Result<usize> {
        with!(self, options => functional::state_len(device, shape, options))
    }

    pub(crate) fn masked_state_len(&self, device: &Device, shape: &Shape) -> Result<usize> {
        with!(self, options => functional::masked_state_len(device, shape, options))
    }

    pub(crate) fn cost(
        &self,
        device: &Device,
        (shape, dtype): (&Shape, DType),
        op: Operation,
    ) -> Result<Cost> {
        with!(self, options => functional::cost(device, shape, dtype, options, op))
    }

    pub(crate) fn cost_with_residual(
        &self,
        device: &Device,
        (shape, dtype): (&Shape, DType),
        op: Operation,
    ) -> Result<Cost> {
        with!(self, options => functional::cost_with_residual(device, shape, dtype, options, op))
    }

    pub(crate) fn forward(
        &self,
        recorder: &mut Recorder<'_>,
        tensors: &Forward<'_>,
        mode: Mode,
    ) -> Result<()> {
        with!(self, options => functional::forward(recorder, tensors, options, mode))
    }

    pub(crate) fn backward(
        &self,
        recorder: &mut Recorder<'_>,
        tensors: &Backward<'_>,
    ) -> Result<()> {
        let statistics = Statistics::Batch;
        with!(self, options => functional::backward(recorder, tensors, options, statistics))
    }
}
