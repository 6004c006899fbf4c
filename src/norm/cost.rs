//! What an operation will take, told without recording it: for benchmarks and schedulers.

use super::planning::{forward_pass, gain_plan, plan};
use super::spec::NormOptions;
use crate::gpu::{DType, Device};
use crate::plan::{Gains, Pass, Strategy};
use crate::{Result, Shape};

/// An operation whose [`cost`] can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A forward by running statistics that moves nothing; where a norm has none, its forward.
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

/// What `operation` takes for an x of this shape and type; fails where the operation itself would.
pub fn cost(
    device: &Device,
    shape: &Shape,
    dtype: DType,
    options: &impl NormOptions,
    operation: Operation,
) -> Result<Cost> {
    let own = options.specify(shape)?.of_type(dtype);
    let (spec, pass) = match operation {
        Operation::Inference if own.can_run() => (own.running(), Pass::Flat),
        // Without running statistics inference is the forward.
        Operation::Inference | Operation::Forward => (own.clone(), forward_pass(&own)),
        Operation::Backward => (own, Pass::Backward),
    };
    let Some(plan) = plan(device, shape, &spec, pass)? else {
        return Ok(Cost {
            strategy: "flat",
            dispatches: 0,
            bytes: 0,
        });
    };
    // How often x or another activation goes by, and the dispatches of each window.
    let (mut passes, each) = match (pass, plan.strategy) {
        (Pass::Flat, _) | (Pass::Forward, Strategy::Resident) => (2, 1),
        (Pass::Backward, Strategy::Resident) => (3, 1),
        (Pass::Backward, _) => (5, 2),
        _ => (3, 2),
    };
    let mut dispatches = each * plan.cuts.len() as u32;
    if pass == Pass::Backward {
        let across = gain_plan(device, &spec)?;
        if let Some(across) = across.filter(|_| plan.gain_shares().is_none()) {
            passes += 2;
            dispatches += 2 * across.cuts.len() as u32;
        }
        let folds = matches!(plan.gains, Gains::Period(_)) || plan.gain_shares().is_some();
        dispatches += u32::from(folds);
    }
    Ok(Cost {
        strategy: plan.name(pass),
        dispatches,
        bytes: passes * dtype.bytes(shape),
    })
}
