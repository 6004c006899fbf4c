//! What follows from the shape of an x: its channels, its plans and its state.

use super::rows::{Kind, Row, check_row};
use crate::gpu::{DType, Device, Recorder, Tensor};
use crate::kernels::{Numbers, saved_vectors};
use crate::norm::numbers::numbers;
use crate::norm::options::BatchNormOptions;
use crate::norm::planning::{bounded_state, plan};
use crate::norm::spec::{Spec, Specify};
use crate::plan::{Channels, Pass, Plan};
use crate::{Error, Result, Shape};

/// How many f32 the state needs for an x of this shape.
pub fn state_len(device: &Device, shape: &Shape, options: &BatchNormOptions) -> Result<usize> {
    let spec = options.specify(shape)?;
    let channels = spec.channels.count;
    let least = least_state(channels);
    let plan = split(device, shape, &spec)?;
    let len = plan.map_or(least, |plan| plan.state_len(2 * channels).max(least));
    bounded_state(device, len)
}

/// A state with one partial result of each channel, as [`backward`] leaves there.
pub(super) fn least_state(channels: usize) -> usize {
    channels
        .saturating_mul(3)
        .saturating_add(1)
        .saturating_mul(4)
}

/// The plan of all that leaves partial results of x.
pub(super) fn split(device: &Device, shape: &Shape, spec: &Spec) -> Result<Option<Plan>> {
    // A cumulative forward is the one that is never resident.
    plan(device, shape, spec, Pass::CumulativeForward)
}

/// An x of some shape and what follows from it.
pub(super) struct Step {
    device: Device,
    shape: Shape,
    options: BatchNormOptions,
    pub(super) spec: Spec,
    pub(super) channels: Channels,
}

impl Step {
    pub(super) fn new(
        recorder: &Recorder<'_>,
        shape: &Shape,
        options: &BatchNormOptions,
    ) -> Result<Self> {
        let spec = options.specify(shape)?;
        let device = recorder.device().clone();
        Ok(Self {
            channels: Channels::new(spec.channels.count, device.limits())?,
            device,
            shape: shape.clone(),
            options: *options,
            spec,
        })
    }

    pub(super) fn count(&self) -> usize {
        self.spec.channels.count
    }

    pub(super) fn numbers(&self) -> Numbers {
        Numbers {
            saved: saved_vectors(self.channels.count),
            ..numbers(&self.spec)
        }
    }

    pub(super) fn check_state(&self, state: &Tensor) -> Result<()> {
        let needed = state_len(&self.device, &self.shape, &self.options)?;
        check_len(("state", state), needed)
    }

    pub(super) fn check_row(&self, (name, row): (&'static str, Row<'_>), kind: Kind) -> Result<()> {
        check_row(&self.device, (name, row), self.count(), kind)
    }
}
pub(super) fn check_len((name, tensor): (&'static str, &Tensor), needed: usize) -> Result<()> {
    tensor.expect_dtype(name, DType::F32)?;
    if tensor.shape().numel() >= needed {
        return Ok(());
    }
    Err(Error::Shape {
        name,
        expected: format!("at least {needed} elements"),
        got: tensor.shape().clone(),
    })
}
