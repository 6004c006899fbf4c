//! What the arguments of an operation must hold, checked before anything is recorded.

use crate::gpu::{DType, Device, Tensor};
use crate::{Error, Result, Shape};

/// A tensor and the name that errors call it by.
pub(super) type Argument<'a> = (&'static str, &'a Tensor);

/// An activation: f32, and shaped like x.
pub(super) fn activation((name, tensor): Argument<'_>, shape: &Shape) -> Result<()> {
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
