//! Spectral norm on tensors that are all the caller's: nothing is submitted or waited for, and once an
//! operation was recorded for a shape, recording it again allocates nothing.
//!
//! W is the weight with dimension `dim` first and the others flattened, \[H, K\]; the layout in memory
//! stays as it is. A forward does, `power_iterations` times and in this order,
//!
//! ```text
//! v = normalize(W^T u)        u = normalize(W v)        normalize(a) = a / max(|a|, eps)
//! ```
//!
//! and then divides the weight:
//!
//! ```text
//! sigma = u^T W v             w = W / sigma
//! ```
//!
//! The backward takes u and v for constants, as PyTorch does:
//!
//! ```text
//! dW = (dw - (sum dw * W / sigma) * u v^T) / sigma
//! ```
//!
//! One buffer is opaque: *saved*, of [`saved_len`] f32, which a forward leaves for its backward. Its first
//! element is sigma, and it holds the u and v that the forward used, which may move before the backward
//! runs. All checks come before the first command, so a refused call has recorded nothing.
//!
//! Sums of squares are f32: a weight whose largest singular value is not between 1e-15 and 1e15 may lose
//! its accuracy, and one of zeros only gives NaN.

use super::checks;
use super::options::SpectralNormOptions;
use crate::gpu::{Device, Prepared, Recorder, Tensor};
use crate::kernels::{
    matrix::MatrixState, matrix_divide::MatrixDivide, matrix_dot::MatrixDot,
    matrix_merge::MatrixMerge, matrix_product::MatrixProduct, matrix_rank_one::MatrixRankOne,
};
use crate::plan::matrix::{MatrixPlan, Side};
use crate::{Result, Shape};

/// The tensors of a forward, all f32.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'a> {
    /// W, of any shape of rank 2 or more. It has to fit one binding.
    pub weight: &'a Tensor,
    /// W / sigma, shaped like the weight. It may be the weight itself; a backward then needs another
    /// copy of the weight.
    pub w: &'a Tensor,
    /// The left singular vector so far, H elements of norm 1. Power iterations move it.
    pub u: &'a Tensor,
    /// The right singular vector so far, K elements of norm 1: for a weight of shape
    /// `[before.., H, behind..]` shaped `[before.., behind..]`. Power iterations write it and read only u.
    pub v: &'a Tensor,
    /// What the backward needs, [`saved_len`] elements.
    pub saved: &'a Tensor,
}

/// The tensors of a backward, all f32.
#[derive(Clone, Copy, Debug)]
pub struct Backward<'a> {
    /// The weight of the forward.
    pub weight: &'a Tensor,
    /// The gradient of the loss by w, shaped like the weight.
    pub dw: &'a Tensor,
    /// What the forward left.
    pub saved: &'a Tensor,
    /// The gradient by the weight, shaped like it. It may be dw itself.
    pub dweight: &'a Tensor,
}

/// How many f32 a forward leaves for its backward, for a weight of this shape.
pub fn saved_len(device: &Device, shape: &Shape, options: &SpectralNormOptions) -> Result<usize> {
    Ok(plan(device, shape, options)?.runs.len as usize)
}

/// Records a forward with `power_iterations` power iterations; with none, evaluation, u and v stay as
/// they are. It takes 4 dispatches for each iteration, or 2 without, and one that divides.
pub fn forward(
    recorder: &mut Recorder<'_>,
    tensors: &Forward<'_>,
    options: &SpectralNormOptions,
    power_iterations: u32,
) -> Result<()> {
    let eps = options.checked_eps()?;
    let plan = plan(recorder.device(), tensors.weight.shape(), options)?;
    checks::forward(recorder.device(), tensors, options, &plan)?;
    let state = MatrixState::new(&plan, tensors.saved);
    let mut dispatches = prepare_sigma(recorder, tensors, &plan, &state, eps, power_iterations)?;
    let (row_state, column_state) = match plan.slots {
        Side::Rows => (tensors.u, tensors.v),
        Side::Columns => (tensors.v, tensors.u),
    };
    let divide = MatrixDivide {
        x: tensors.weight,
        y: tensors.w,
        state: &state,
        row_state,
        column_state,
        last: if power_iterations > 0 {
            plan.slots
        } else {
            plan.better
        },
        fixed: power_iterations == 0,
        eps,
    };
    dispatches.push(divide.prepare(recorder, &plan)?);
    recorder.dispatch(dispatches);
    Ok(())
}

/// The dispatches that find sigma.
fn prepare_sigma(
    recorder: &Recorder<'_>,
    tensors: &Forward<'_>,
    plan: &MatrixPlan,
    state: &MatrixState,
    eps: f32,
    power_iterations: u32,
) -> Result<Vec<Prepared>> {
    let step = |side: Side, factor: Option<&Tensor>, fixed: Option<&Tensor>| {
        let product = MatrixProduct {
            x: tensors.weight,
            state,
            side,
            factor,
            eps,
        };
        let merge = MatrixMerge { state, side, fixed };
        Ok([
            product.prepare(recorder, plan)?,
            merge.prepare(recorder, plan)?,
        ])
    };
    if power_iterations == 0 {
        // u^T (W v) or (u^T W) v, whichever product is the faster one.
        let (factor, fixed) = if plan.better == plan.slots {
            (tensors.v, tensors.u)
        } else {
            (tensors.u, tensors.v)
        };
        return Ok(step(plan.better, Some(factor), Some(fixed))?.into());
    }
    let mut dispatches = Vec::new();
    for iteration in 0..power_iterations {
        let given = Some(tensors.u).filter(|_| iteration == 0);
        dispatches.extend(step(plan.slots.other(), given, None)?);
        dispatches.extend(step(plan.slots, None, None)?);
    }
    Ok(dispatches)
}

/// Records the backward of a forward that had the same options: two dispatches.
pub fn backward(
    recorder: &mut Recorder<'_>,
    tensors: &Backward<'_>,
    options: &SpectralNormOptions,
) -> Result<()> {
    let Backward {
        weight,
        dw,
        saved,
        dweight,
    } = *tensors;
    let plan = plan(recorder.device(), weight.shape(), options)?;
    checks::backward(recorder.device(), tensors, &plan)?;
    let state = MatrixState::new(&plan, saved);
    let dot = MatrixDot {
        x: weight,
        dy: dw,
        state: &state,
    };
    let rank_one = MatrixRankOne {
        dy: dw,
        dx: dweight,
        state: &state,
    };
    let dispatches = [
        dot.prepare(recorder, &plan)?,
        rank_one.prepare(recorder, &plan)?,
    ];
    recorder.dispatch(dispatches);
    Ok(())
}

/// The plan for a weight of this shape.
pub(super) fn plan(
    device: &Device,
    shape: &Shape,
    options: &SpectralNormOptions,
) -> Result<MatrixPlan> {
    let view = checks::view(shape, options)?;
    MatrixPlan::new(view, options.class, device.limits())
}
