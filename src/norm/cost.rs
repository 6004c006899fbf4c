//! What an operation will take, told without recording it: for benchmarks and schedulers.

use super::BatchNormOptions;
use super::functional::plan;
use crate::gpu::{DType, Device};
use crate::plan::Strategy;
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
    /// The name of the strategy that the planner chose; one without a reduction is `flat`.
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
    let Some(plan) = plan(device, shape, view, options)? else {
        return Ok(Cost {
            strategy: "flat",
            dispatches: 0,
            bytes: 0,
        });
    };
    let strategy = plan.strategy();
    let (strategy, dispatches, passes) = match (operation, strategy) {
        (Operation::Inference, Strategy::SplitRows) => ("flat_rows", 1, 2),
        (Operation::Inference, Strategy::SplitColumns) => ("flat_columns", 1, 2),
        // x is read twice and y written.
        (Operation::Forward, _) => (strategy.name(), 2, 3),
        // x and dy are read twice and dx written.
        (Operation::Backward, _) => (strategy.name(), 2, 5),
    };
    Ok(Cost {
        strategy,
        dispatches,
        bytes: passes * DType::F32.bytes(shape),
    })
}
