//! What the arguments must hold, checked before anything is recorded.

use super::functional::{Backward, Forward};
use super::options::SpectralNormOptions;
use crate::gpu::{DType, Device, Tensor};
use crate::norm::checks::{disjoint, one_device, vector};
use crate::plan::matrix::MatrixPlan;
use crate::{Error, Result, Shape, View};

/// The view of a weight of that shape, or what is wrong with it in words about weights.
pub(super) fn view(shape: &Shape, options: &SpectralNormOptions) -> Result<View> {
    let (dims, dim) = (shape.dims(), options.dim);
    let expected = if dims.len() < 2 {
        "at least 2 dimensions".to_owned()
    } else if dim >= dims.len() {
        format!("more than {dim} dimensions, since dim is {dim}")
    } else if shape.numel() == 0 {
        "at least 1 element".to_owned()
    } else {
        return View::channels(shape, dim);
    };
    Err(Error::Shape {
        name: "weight",
        expected,
        got: shape.clone(),
    })
}

/// A tensor that is shaped like the weight.
fn like_weight(name: &'static str, tensor: &Tensor, shape: &Shape) -> Result<()> {
    tensor.expect_dtype(name, DType::F32)?;
    if tensor.shape() == shape {
        return Ok(());
    }
    Err(Error::Shape {
        name,
        expected: format!("the weight's shape {shape}"),
        got: tensor.shape().clone(),
    })
}

fn saved(tensor: &Tensor, plan: &MatrixPlan) -> Result<()> {
    tensor.expect_dtype("saved", DType::F32)?;
    let needed = plan.runs.len;
    if tensor.shape().numel() as u64 >= needed {
        return Ok(());
    }
    Err(Error::Shape {
        name: "saved",
        expected: format!("at least {needed} elements"),
        got: tensor.shape().clone(),
    })
}

/// The tensors of a forward.
pub(super) fn forward(
    device: &Device,
    tensors: &Forward<'_>,
    options: &SpectralNormOptions,
    plan: &MatrixPlan,
) -> Result<()> {
    let shape = tensors.weight.shape();
    let view = view(shape, options)?;
    let arguments = [
        ("weight", tensors.weight),
        ("w", tensors.w),
        ("u", tensors.u),
        ("v", tensors.v),
        ("saved", tensors.saved),
    ];
    for (name, tensor) in &arguments[..2] {
        like_weight(name, tensor, shape)?;
    }
    vectors(tensors.u, tensors.v, view)?;
    saved(tensors.saved, plan)?;
    one_device(device, &arguments)?;
    disjoint(&arguments, &[("weight", "w")])
}

/// u and v of a weight with that view.
pub(super) fn vectors(u: &Tensor, v: &Tensor, view: View) -> Result<()> {
    let per_row = "one element per row of W";
    vector(("u", u), DType::F32, view.count, per_row)?;
    let per_column = "one element per column of W";
    vector(("v", v), DType::F32, view.slot_len(), per_column)
}

/// The tensors of a backward.
pub(super) fn backward(device: &Device, tensors: &Backward<'_>, plan: &MatrixPlan) -> Result<()> {
    let shape = tensors.weight.shape();
    let arguments = [
        ("weight", tensors.weight),
        ("dw", tensors.dw),
        ("dweight", tensors.dweight),
        ("saved", tensors.saved),
    ];
    for (name, tensor) in &arguments[..3] {
        like_weight(name, tensor, shape)?;
    }
    saved(tensors.saved, plan)?;
    one_device(device, &arguments)?;
    disjoint(&arguments, &[("dw", "dweight")])
}
