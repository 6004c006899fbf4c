//! What the planner says of an operation: its plans, and how long its state is.

use super::options::Momentum;
use super::spec::{NormOptions, Spec};
use crate::gpu::{DType, Device, Tensor};
use crate::plan::{Gains, Pass, Plan, Reduction, Strategy};
use crate::{Error, Result, Shape, View};

/// How many f32 the state of a forward and its backward needs for an x of this shape.
pub fn state_len(device: &Device, shape: &Shape, options: &impl NormOptions) -> Result<usize> {
    let spec = options.specify(shape)?;
    spec_state_len(device, shape, &spec)
}

fn spec_state_len(device: &Device, shape: &Shape, spec: &Spec) -> Result<usize> {
    // Running statistics of samples are kept as a batch's are.
    let saved = spec.saved().max(spec.channels.count);
    let mut len = saved.saturating_add(1).saturating_mul(4);
    // Without whole sub-batches there are only running statistics.
    let own = spec.check_sub_batches(shape).is_ok();
    for pass in [forward_pass(spec), Pass::Backward]
        .into_iter()
        .filter(|_| own)
    {
        if let Some(plan) = plan(device, shape, spec, pass)? {
            len = len.max(plan.state_len(saved));
        }
    }
    if let Some(plan) = gain_plan(device, spec)? {
        len = len.max(plan.state_len(saved));
    }
    if spec.can_run() && spec.running().reduction != spec.reduction {
        len = len.max(spec_state_len(device, shape, &spec.running())?);
    }
    bounded_state(device, len)
}

/// The length of a state, or an error for one that no binding holds.
pub(super) fn bounded_state(device: &Device, len: usize) -> Result<usize> {
    let (needed, limit) = (
        (len as u64).saturating_mul(4),
        device.limits().max_binding_bytes,
    );
    if needed > limit {
        let name = "bytes of the state";
        return Err(Error::TooLarge {
            name,
            needed,
            limit,
        });
    }
    Ok(len)
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
        fan: 1,
        gains: Gains::Across,
    };
    let options = crate::PlanOptions {
        strategy: Some(Strategy::SplitColumns),
        ..spec.plan
    };
    if Plan::refusal(reduction, options, device.limits())?.is_some() {
        return Err(Error::TooLarge {
            name: "bytes of a row",
            needed: view.inner as u64 * 4,
            limit: device.limits().max_binding_bytes,
        });
    }
    Plan::new(reduction, Pass::Backward, options, device.limits()).map(Some)
}

pub(super) fn check_state(
    device: &Device,
    state: &Tensor,
    shape: &Shape,
    spec: &Spec,
) -> Result<()> {
    let needed = spec_state_len(device, shape, spec)?;
    state.expect_dtype("state", DType::F32)?;
    if state.shape().numel() >= needed {
        return Ok(());
    }
    let expected = format!("at least {needed} elements");
    Err(Error::Shape {
        name: "state",
        expected,
        got: state.shape().clone(),
    })
}
