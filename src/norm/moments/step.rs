//! What follows from the shape of an x: its channels, its plans and its state.

use super::rows::{Kind, Row, check_row};
use crate::gpu::{DType, Device, Recorder, Tensor};
use crate::kernels::{Numbers, saved_vectors};
use crate::norm::checks;
use crate::norm::numbers::numbers;
use crate::norm::options::BatchNormOptions;
use crate::norm::planning::{bounded_state, of_any_type, plan};
use crate::norm::spec::{Spec, Specify};
use crate::plan::{Channels, Pass, Plan};
use crate::{Result, Shape, Strategy};

/// How many f32 the state needs for an x of this shape.
///
/// Slots are never held in registers here: a strategy of [`Strategy::Resident`] is the planner's choice.
pub fn state_len(device: &Device, shape: &Shape, options: &BatchNormOptions) -> Result<usize> {
    of_any_type(|dtype| Step::of(device, shape, dtype, options)?.state_len())
}

/// A state with one partial result of each channel, as [`backward`](super::backward()) leaves there.
pub(super) fn least_state(channels: usize) -> usize {
    let vectors = channels.saturating_mul(3).saturating_add(1);
    vectors.saturating_mul(4)
}

/// An x of some shape and what follows from it.
pub(super) struct Step {
    device: Device,
    shape: Shape,
    pub(super) spec: Spec,
    pub(super) channels: Channels,
}

impl Step {
    pub(super) fn new(
        recorder: &Recorder<'_>,
        x: &Tensor,
        options: &BatchNormOptions,
    ) -> Result<Self> {
        Self::of(recorder.device(), x.shape(), x.dtype(), options)
    }

    fn of(
        device: &Device,
        shape: &Shape,
        dtype: DType,
        options: &BatchNormOptions,
    ) -> Result<Self> {
        let mut spec = options.specify(shape)?.of_type(dtype);
        spec.plan.strategy = spec.plan.strategy.filter(|&s| s != Strategy::Resident);
        Ok(Self {
            device: device.clone(),
            shape: shape.clone(),
            channels: Channels::new(spec.channels.count, device.limits())?,
            spec,
        })
    }

    /// The plan of what leaves partial results of x; none where it is empty.
    pub(super) fn split(&self) -> Result<Option<Plan>> {
        // A cumulative forward is the one that is never resident.
        plan(
            &self.device,
            &self.shape,
            &self.spec,
            Pass::CumulativeForward,
        )
    }

    /// The plan of what needs none.
    pub(super) fn flat(&self) -> Result<Option<Plan>> {
        plan(&self.device, &self.shape, &self.spec, Pass::Flat)
    }

    fn state_len(&self) -> Result<usize> {
        let least = least_state(self.count());
        let plan = self.split()?;
        let len = plan.map_or(least, |plan| plan.state_len(2 * self.count()).max(least));
        bounded_state(&self.device, len)
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
        let needed = self.state_len()?;
        checks::at_least(("state", state), needed)
    }

    pub(super) fn check_row(&self, (name, row): (&'static str, Row<'_>), kind: Kind) -> Result<()> {
        check_row(&self.device, (name, row), self.count(), kind)
    }
}
