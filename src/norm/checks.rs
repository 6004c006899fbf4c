//! What the arguments of an operation must hold, checked before anything is recorded.

use super::functional::{Backward, Forward};
use crate::gpu::{DType, Device, Tensor};
use crate::{Error, Result, Shape, View};

/// A tensor and the name that errors call it by.
type Argument<'a> = (&'static str, &'a Tensor);

/// An activation: f32, and shaped like x.
fn activation((name, tensor): Argument<'_>, shape: &Shape) -> Result<()> {
    tensor.expect_dtype(name, DType::F32)?;
    if tensor.shape() == shape {
        return Ok(());
    }
    let expected = format!("x's shape {shape}");
    Err(Error::Shape {
        name,
        expected,
        got: tensor.shape().clone(),
    })
}

/// A tensor of exactly `len` elements, whatever its dimensions.
pub(super) fn vector(
    (name, tensor): Argument<'_>,
    dtype: DType,
    len: usize,
    what: &str,
) -> Result<()> {
    tensor.expect_dtype(name, dtype)?;
    if tensor.shape().numel() == len {
        return Ok(());
    }
    Err(Error::Shape {
        name,
        expected: format!("[{len}], {what}"),
        got: tensor.shape().clone(),
    })
}

/// All arguments must belong to the device that the commands are for.
pub(super) fn one_device(device: &Device, arguments: &[Argument<'_>]) -> Result<()> {
    arguments
        .iter()
        .try_for_each(|(name, tensor)| tensor.expect_device(name, device))
}

/// No two arguments may overlap, but for the `in_place` pairs when they are the very same range.
pub(super) fn disjoint(arguments: &[Argument<'_>], in_place: &[(&str, &str)]) -> Result<()> {
    for (i, &(second, b)) in arguments.iter().enumerate() {
        for &(first, a) in &arguments[..i] {
            let allowed = in_place.contains(&(first, second)) && a.same_place(b);
            if allowed || !a.overlaps(b) {
                continue;
            }
            return Err(Error::Overlap {
                first,
                first_start: a.offset(),
                first_end: a.offset() + a.bytes(),
                second,
                second_start: b.offset(),
                second_end: b.offset() + b.bytes(),
            });
        }
    }
    Ok(())
}

const PER_CHANNEL: &str = "one element per channel of x";

/// The tensors of a forward.
pub(super) fn forward(device: &Device, tensors: &Forward<'_>, view: View) -> Result<()> {
    let shape = tensors.x.shape();
    let mut arguments = vec![("x", tensors.x), ("y", tensors.y)];
    for argument in &arguments {
        activation(*argument, shape)?;
    }
    let running = tensors.running;
    let channels = [
        tensors.gamma.map(|t| ("gamma", t)),
        tensors.beta.map(|t| ("beta", t)),
        running.map(|r| ("running_mean", r.mean)),
        running.map(|r| ("running_var", r.var)),
    ];
    for argument in channels.into_iter().flatten() {
        vector(argument, DType::F32, view.count, PER_CHANNEL)?;
        arguments.push(argument);
    }
    if let Some(tracked) = running.and_then(|running| running.num_batches_tracked) {
        let argument = ("num_batches_tracked", tracked);
        vector(argument, DType::U32, 1, "one counter")?;
        arguments.push(argument);
    }
    arguments.extend(tensors.state.map(|state| ("state", state)));
    one_device(device, &arguments)?;
    disjoint(&arguments, &[("x", "y")])
}

/// The tensors of a backward.
pub(super) fn backward(device: &Device, tensors: &Backward<'_>, view: View) -> Result<()> {
    let shape = tensors.x.shape();
    let mut arguments = vec![("x", tensors.x), ("dy", tensors.dy)];
    arguments.extend(tensors.dx.map(|dx| ("dx", dx)));
    for argument in &arguments {
        activation(*argument, shape)?;
    }
    let channels = [
        tensors.gamma.map(|t| ("gamma", t)),
        tensors.dgamma.map(|t| ("dgamma", t)),
        tensors.dbeta.map(|t| ("dbeta", t)),
    ];
    for argument in channels.into_iter().flatten() {
        vector(argument, DType::F32, view.count, PER_CHANNEL)?;
        arguments.push(argument);
    }
    arguments.push(("state", tensors.state));
    one_device(device, &arguments)?;
    disjoint(&arguments, &[("x", "dx"), ("dy", "dx")])
}
