//! What the planner says of an operation: its plans, and how long its state is.

use super::checks;
use super::options::{Activation, Momentum};
use super::spec::{NormOptions, Spec};
use crate::gpu::{DType, Device, Tensor};
use crate::plan::{Gains, Pass, Plan, Reduction, Strategy};
use crate::{Error, Result, Shape, View};

/// How many f32 the state of a forward and its backward needs for an x of this shape, of whatever type the
/// options apply to. Where an activation follows the norm, a bit for each element of x is among them, for a
/// residual's sake.
pub fn state_len(device: &Device, shape: &Shape, options: &impl NormOptions) -> Result<usize> {
    let spec = options.specify(shape)?;
    of_any_type(|dtype| words_of(device, shape, &spec.clone().of_type(dtype)))
}

/// The length for whatever type has one: a forced strategy may not apply to all.
pub(super) fn of_any_type(of_type: impl Fn(DType) -> Result<usize>) -> Result<usize> {
    // The 16-bit types differ in nothing that is planned.
    match (of_type(DType::F32), of_type(DType::F16)) {
        (Ok(floats), Ok(halves)) => Ok(floats.max(halves)),
        (Ok(len), Err(_)) | (Err(_), Ok(len)) => Ok(len),
        (Err(error), Err(_)) => Err(error),
    }
}

/// The same for this x.
pub(super) fn state_len_of(
    device: &Device,
    x: &Tensor,
    options: &impl NormOptions,
) -> Result<usize> {
    let spec = options.specify(x.shape())?.of_type(x.dtype());
    words_of(device, x.shape(), &spec)
}

fn words_of(device: &Device, shape: &Shape, spec: &Spec) -> Result<usize> {
    let (vectors, gates) = state_words(device, shape, spec)?;
    Ok(vectors + gates)
}

/// The words of a state before its gates, and those of its gates.
fn state_words(device: &Device, shape: &Shape, spec: &Spec) -> Result<(usize, usize)> {
    // Running statistics of samples are kept as a batch's are.
    let saved = spec.saved().max(spec.channels.count);
    let mut vectors = saved.saturating_add(1).saturating_mul(4);
    let mut gates = 0;
    let gated = (spec.activation == Activation::Relu).then(|| gated_pass(spec));
    let passes = [Some(forward_pass(spec)), Some(Pass::Backward), gated];
    // Without whole sub-batches there are only running statistics.
    let own = spec.check_sub_batches(shape).is_ok();
    for pass in passes.into_iter().flatten().filter(|_| own) {
        if let Some(plan) = plan(device, shape, spec, pass)? {
            vectors = vectors.max(plan.state_len(saved));
            gates = plan.gates as usize;
        }
    }
    if let Some(plan) = gain_plan(device, spec)? {
        vectors = vectors.max(plan.state_len(saved));
    }
    if spec.can_run() && spec.running().reduction != spec.reduction {
        let running = state_words(device, shape, &spec.running())?;
        vectors = vectors.max(running.0);
        gates = gates.max(running.1);
    }
    bounded_state(device, vectors.saturating_add(gates))?;
    Ok((vectors, gates))
}

/// The length of a state, or an error for one that no binding holds.
pub(super) fn bounded_state(device: &Device, len: usize) -> Result<usize> {
    checks::fits_binding(device, "bytes of the state", (len as u64).saturating_mul(4))?;
    Ok(len)
}

/// The pass of a forward that keeps which elements passed the activation, and of its backward.
pub(super) fn gated_pass(spec: &Spec) -> Pass {
    match spec.momentum {
        Momentum::Cumulative => Pass::CumulativeGated,
        _ => Pass::Gated,
    }
}

/// The pass of a forward by the statistics of x.
pub(super) fn forward_pass(spec: &Spec) -> Pass {
    match spec.momentum {
        Momentum::Cumulative => Pass::CumulativeForward,
        _ => Pass::Forward,
    }
}

/// The plan for x, or none where it is empty.
pub(super) fn plan(
    device: &Device,
    shape: &Shape,
    spec: &Spec,
    pass: Pass,
) -> Result<Option<Plan>> {
    spec.check_sub_batches(shape)?;
    if spec.reduction.view.numel() == 0 {
        return Ok(None);
    }
    if let Some(reason) = Plan::refusal(spec.reduction, spec.plan, device.limits())? {
        return Err(Error::Strategy {
            strategy: spec.plan.strategy.map_or("", Strategy::name),
            shape: shape.clone(),
            axis: spec.axis,
            reason,
        });
    }
    Plan::new(spec.reduction, pass, spec.plan, device.limits()).map(Some)
}

/// The plan of the gradients of gains that each element of a row has: their sums go across the rows.
/// None where x is empty or the gains are those of slots.
pub(super) fn gain_plan(device: &Device, spec: &Spec) -> Result<Option<Plan>> {
    let view = spec.reduction.view;
    if spec.reduction.gains != Gains::Elements || view.numel() == 0 {
        return Ok(None);
    }
    let reduction = Reduction {
        view: View {
            batch: 1,
            outer: view.count,
            count: view.inner,
            inner: 1,
        },
        gains: Gains::Across,
        ..spec.reduction
    };
    let options = crate::PlanOptions {
        strategy: Some(Strategy::SplitColumns),
        ..spec.plan
    };
    if Plan::refusal(reduction, options, device.limits())?.is_some() {
        return Err(Error::TooLarge {
            name: "bytes of a row",
            needed: view.inner as u64 * spec.reduction.dtype.size(),
            limit: device.limits().max_binding_bytes,
        });
    }
    Plan::new(reduction, Pass::Backward, options, device.limits()).map(Some)
}

/// Checks the state of an operation and tells how many words of it lie before its gates.
pub(super) fn check_state(
    device: &Device,
    state: &Tensor,
    shape: &Shape,
    spec: &Spec,
) -> Result<u32> {
    let (vectors, gates) = state_words(device, shape, spec)?;
    checks::at_least(("state", state), vectors + gates)?;
    Ok(vectors as u32)
}
