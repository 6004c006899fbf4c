//! What an operation will take, told without recording it: for benchmarks and schedulers.

use super::gradients::asks_others;
use super::numbers::is_gated;
use super::options::Activation;
use super::planning::{forward_pass, gain_plan, gated_pass, plan};
use super::spec::{NormOptions, Spec};
use crate::gpu::{DType, Device};
use crate::plan::{Gains, Pass, Plan, Strategy};
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

/// What `operation` takes for an x of this shape and type, with the activation of the options; fails
/// where the operation itself would.
pub fn cost(
    device: &Device,
    shape: &Shape,
    dtype: DType,
    options: &impl NormOptions,
    operation: Operation,
) -> Result<Cost> {
    let own = options.specify(shape)?.of_type(dtype);
    cost_of(device, shape, &own, operation, false)
}

/// The same where a residual is added: it is loaded once more, a backward stores its gradient, and where
/// an activation follows, a bit of each element is kept for the backward. A forward that counts its
/// batches is meant.
///
/// ```
/// use wgnorm::functional::{Operation, cost, cost_with_residual};
/// use wgnorm::{BatchNormOptions, DType, Device, Shape};
///
/// # let Ok(device) = Device::new() else { return Ok(()) };
/// let (shape, options) = (Shape::from([32, 64, 56, 56]), BatchNormOptions::default());
/// let plain = cost(&device, &shape, DType::F16, &options, Operation::Forward)?;
/// let added = cost_with_residual(&device, &shape, DType::F16, &options, Operation::Forward)?;
/// assert_eq!(added.bytes - plain.bytes, DType::F16.bytes(&shape));
/// # Ok::<(), wgnorm::Error>(())
/// ```
pub fn cost_with_residual(
    device: &Device,
    shape: &Shape,
    dtype: DType,
    options: &impl NormOptions,
    operation: Operation,
) -> Result<Cost> {
    let own = options.specify(shape)?.of_type(dtype);
    cost_of(device, shape, &own, operation, true)
}

fn cost_of(
    device: &Device,
    shape: &Shape,
    own: &Spec,
    operation: Operation,
    residual: bool,
) -> Result<Cost> {
    let (spec, pass) = match operation {
        Operation::Inference if own.can_run() => (own.running(), Pass::Flat),
        _ if is_gated(own, residual) => (own.clone(), gated_pass(own)),
        // Without running statistics inference is the forward.
        Operation::Inference | Operation::Forward => (own.clone(), forward_pass(own)),
        Operation::Backward => (own.clone(), Pass::Backward),
    };
    let Some(plan) = plan(device, shape, &spec, pass)? else {
        return Ok(Cost {
            strategy: "flat",
            dispatches: 0,
            bytes: 0,
        });
    };
    let one_pass = spec.reduction.dtype.bytes(shape);
    let gates = 4 * u64::from(plan.gates);
    let windows = plan.cuts.len() as u32;
    let is_resident = plan.strategy == Strategy::Resident;
    if operation == Operation::Backward && asks_others(&spec, &plan, residual) {
        // A dispatch of its own makes dresidual of dy, and the rest goes on from there. What holds its
        // words loads x with them.
        let passes = 2 + u64::from(is_resident);
        let rest = own.clone().followed_by(Activation::None);
        let rest = cost_of(device, shape, &rest, operation, false)?;
        return Ok(Cost {
            dispatches: rest.dispatches + windows,
            bytes: rest.bytes + passes * one_pass + gates,
            ..rest
        });
    }
    let (passes, each) = walks(operation, pass, is_resident);
    // Every dispatch of a backward asks for the gates, and one of a forward keeps them.
    let (more_passes, more_dispatches, gated_dispatches) = match operation {
        Operation::Backward => {
            let (passes, dispatches) = gains(device, &spec, &plan)?;
            (passes, dispatches, each)
        }
        // Counting the batches takes a binding that a residual needs.
        _ if residual && is_resident && spec.can_run() && plan.gains == Gains::Slots => (0, 1, 1),
        _ => (0, 0, 1),
    };
    let passes = passes + more_passes + u64::from(residual);
    Ok(Cost {
        strategy: plan.name(pass),
        dispatches: each * windows + more_dispatches,
        bytes: passes * one_pass + u64::from(gated_dispatches) * gates,
    })
}

/// How often x or another activation goes by, and the dispatches of each window.
fn walks(operation: Operation, pass: Pass, is_resident: bool) -> (u64, u32) {
    match operation {
        _ if pass == Pass::Flat => (2, 1),
        Operation::Backward if is_resident => (3, 1),
        Operation::Backward => (5, 2),
        _ if is_resident => (2, 1),
        _ => (3, 2),
    }
}

/// The passes and the dispatches of a backward for gains that are not those of slots.
fn gains(device: &Device, spec: &Spec, plan: &Plan) -> Result<(u64, u32)> {
    let across = gain_plan(device, spec)?;
    let across = across.filter(|_| plan.gain_shares().is_none());
    let (passes, dispatches) = across.map_or((0, 0), |across| (2, 2 * across.cuts.len() as u32));
    let folds = matches!(plan.gains, Gains::Period(_)) || plan.gain_shares().is_some();
    Ok((passes, dispatches + u32::from(folds)))
}
