//! What an operation will take, told without recording it: for benchmarks and schedulers.

use super::BatchNormOptions;
use super::planning::{forward_pass, plan};
use crate::gpu::{DType, Device};
use crate::plan::{Pass, Strategy};
use crate::{Result, Shape, View};

/// An operation whose [`cost`] can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A forward by running statistics that moves nothing.
    Inference,
    /// A forward by the statistics of the batch.
    Forward,
    /// The backward through the statistics of the batch, with all of its gradients.
    Backward,
}

/// What an operation takes on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// The strategy that the planner chose and how it walks, such as `split_rows`; an operation
    /// without a reduction is `flat_rows` or `flat_columns`.
    pub strategy: &'static str,
    /// How many dispatches are recorded, 0 for an empty x.
    pub dispatches: u32,
    /// The bytes of activations that are loaded and stored. What each channel has besides them is
    /// small and left out.
    pub bytes: u64,
}

/// What `operation` takes for an x of this shape; fails where the operation itself would.
pub fn cost(
    device: &Device,
    shape: &Shape,
    options: &BatchNormOptions,
    operation: Operation,
) -> Result<Cost> {
    let view = View::channels(shape, options.channel_axis)?;
    let pass = match operation {
        Operation::Inference => Pass::Flat,
        Operation::Forward => forward_pass(options),
        Operation::Backward => Pass::Backward,
    };
    let Some(plan) = plan(device, shape, view, options, pass)? else {
        return Ok(Cost {
            strategy: "flat",
            dispatches: 0,
            bytes: 0,
        });
    };
    // How often x or another activation goes by, and the dispatches of each window.
    let (passes, dispatches) = match (operation, plan.strategy) {
        (Operation::Inference, _) | (Operation::Forward, Strategy::Resident) => (2, 1),
        (Operation::Backward, Strategy::Resident) => (3, 1),
        (Operation::Forward, _) => (3, 2),
        (Operation::Backward, _) => (5, 2),
    };
    Ok(Cost {
        strategy: plan.name(pass),
        dispatches: dispatches * plan.cuts.len() as u32,
        bytes: passes * DType::F32.bytes(shape),
    })
}
