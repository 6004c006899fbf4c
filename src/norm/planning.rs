//! What the planner says of an operation: its plan, and how long its state is.

use super::options::{BatchNormOptions, Momentum};
use crate::gpu::{DType, Device, Tensor};
use crate::plan::{Pass, Plan, Strategy};
use crate::{Error, Result, Shape, View};

/// How many f32 the state of a forward and its backward needs for an x of this shape.
pub fn state_len(device: &Device, shape: &Shape, options: &BatchNormOptions) -> Result<usize> {
    let view = View::channels(shape, options.channel_axis)?;
    let mut len = view.count.saturating_add(1).saturating_mul(4);
    for pass in [forward_pass(options), Pass::Backward] {
        if let Some(plan) = plan(device, shape, view, options, pass)? {
            len = len.max(plan.state_len());
        }
    }
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

pub(super) fn forward_pass(options: &BatchNormOptions) -> Pass {
    match options.momentum {
        Momentum::Cumulative => Pass::CumulativeForward,
        _ => Pass::Forward,
    }
}

/// The plan for x, or none where it is empty.
pub(super) fn plan(
    device: &Device,
    shape: &Shape,
    view: View,
    options: &BatchNormOptions,
    pass: Pass,
) -> Result<Option<Plan>> {
    if view.numel() == 0 {
        return Ok(None);
    }
    if let Some(reason) = Plan::refusal(view, options.plan, device.limits())? {
        return Err(Error::Strategy {
            strategy: options.plan.strategy.map_or("", Strategy::name),
            shape: shape.clone(),
            axis: options.channel_axis,
            reason,
        });
    }
    Plan::new(view, pass, options.plan, device.limits()).map(Some)
}

pub(super) fn check_state(
    device: &Device,
    state: &Tensor,
    shape: &Shape,
    options: &BatchNormOptions,
) -> Result<()> {
    let needed = state_len(device, shape, options)?;
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
