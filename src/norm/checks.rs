//! What the arguments of an operation must hold, checked before anything is recorded.

use std::sync::atomic::{AtomicBool, Ordering};

use super::functional::{Backward, Forward, Running};
use super::options::{Mode, Momentum, Statistics};
use super::spec::{Kind, Spec};
use crate::gpu::{DType, Device, Tensor};
use crate::{Error, Result, Shape};

/// A tensor and the name that errors call it by.
type Argument<'a> = (&'static str, &'a Tensor);

/// The element types of activations; weights are f32.
pub(super) fn stored(x: &Tensor, spec: &Spec) -> Result<()> {
    match x.dtype() {
        DType::F16 | DType::Bf16 if spec.kind != Kind::Length => Ok(()),
        _ => x.expect_dtype("x", DType::F32),
    }
}

/// An activation: of x's type and shape.
pub(super) fn activation((name, tensor): Argument<'_>, x: &Tensor) -> Result<()> {
    tensor.expect_dtype(name, x.dtype())?;
    if tensor.shape() == x.shape() {
        return Ok(());
    }
    let expected = format!("x's shape {}", x.shape());
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

/// Gamma or beta.
pub(super) fn gains(argument: Argument<'_>, spec: &Spec) -> Result<()> {
    vector(argument, DType::F32, spec.parameters.numel(), spec.per)
}

/// A tensor of `needed` f32 or more.
pub(super) fn at_least((name, tensor): Argument<'_>, needed: usize) -> Result<()> {
    tensor.expect_dtype(name, DType::F32)?;
    if tensor.shape().numel() >= needed {
        return Ok(());
    }
    Err(Error::Shape {
        name,
        expected: format!("at least {needed} elements"),
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

/// Arguments of which kernels are shown windows, or single rows; all others whole.
const IN_PARTS: [&str; 9] = [
    "x",
    "y",
    "dy",
    "dx",
    "residual",
    "dresidual",
    "mask",
    "moments",
    "sums",
];

/// What an error says there is too much of.
fn bytes_of(argument: &str) -> &'static str {
    match argument {
        "gamma" => "bytes of gamma",
        "beta" => "bytes of beta",
        "running_mean" => "bytes of running_mean",
        "running_var" => "bytes of running_var",
        "state" => "bytes of the state",
        "dgamma" => "bytes of dgamma",
        "dbeta" => "bytes of dbeta",
        _ => "bytes of a tensor that is bound whole",
    }
}

/// Refuses what one binding does not hold.
pub(super) fn fits_binding(device: &Device, name: &'static str, needed: u64) -> Result<()> {
    let limit = device.limits().max_binding_bytes;
    if needed > limit {
        return Err(Error::TooLarge {
            name,
            needed,
            limit,
        });
    }
    Ok(())
}

/// What all arguments of an operation must be: of one device, apart but for the `in_place` pairs, and no longer
/// than one binding where kernels are shown them whole.
pub(super) fn places(
    device: &Device,
    arguments: &[Argument<'_>],
    in_place: &[(&str, &str)],
) -> Result<()> {
    one_device(device, arguments)?;
    for (name, tensor) in arguments {
        if !IN_PARTS.contains(name) {
            fits_binding(device, bytes_of(name), tensor.bytes())?;
        }
    }
    disjoint(arguments, in_place)
}

/// What the mode asks of the norm and of the tensors that it has.
pub(super) fn mode(tensors: &Forward<'_>, spec: &Spec, mode: Mode) -> Result<()> {
    let uses_running = mode.statistics == Statistics::Running;
    let needs_running = uses_running || mode.update_running || spec.is_renorm();
    if needs_running && !spec.can_run() {
        return Err(Error::Option {
            name: "mode",
            expected: "Mode::RECOMPUTE, since this norm has no running statistics",
            got: format!("{mode:?}"),
        });
    }
    if needs_running && tensors.running.is_none() {
        let reason = "the mode normalizes by running statistics or moves them";
        return Err(Error::Missing {
            name: "running_mean",
            reason,
        });
    }
    if spec.kind == Kind::Averaged && uses_running && mode.update_running {
        return Err(Error::Option {
            name: "mode",
            expected: "running statistics of samples to normalize or to move, not both",
            got: format!("{mode:?}"),
        });
    }
    let cumulative = spec.momentum == Momentum::Cumulative;
    let tracked = tensors.running.and_then(|r| r.num_batches_tracked);
    if mode.update_running && cumulative && tracked.is_none() {
        let reason = "a cumulative mean counts batches in it";
        return Err(Error::Missing {
            name: "num_batches_tracked",
            reason,
        });
    }
    Ok(())
}

/// Whether the norm has the statistics that its forward is said to have used.
pub(super) fn statistics(spec: &Spec, statistics: Statistics) -> Result<()> {
    if statistics == Statistics::Batch || spec.can_run() {
        return Ok(());
    }
    Err(Error::Option {
        name: "statistics",
        expected: "Statistics::Batch, since this norm has no running statistics",
        got: format!("{statistics:?}"),
    })
}

/// Whether there are values enough for statistics, and a place to keep them.
pub(super) fn values(tensors: &Forward<'_>, spec: &Spec, mode: Mode) -> Result<()> {
    if !mode.uses_batch() {
        return Ok(());
    }
    if spec.can_run() && spec.n() == 1 {
        return Err(Error::OneValuePerChannel {
            shape: tensors.x.shape().clone(),
        });
    }
    if tensors.state.is_none() {
        let reason = "batch statistics are kept in it";
        return Err(Error::Missing {
            name: "state",
            reason,
        });
    }
    Ok(())
}

/// Fewer values than this for each statistic of a training batch are worth a warning: their noise is
/// then a good part of what comes out.
const FEW: usize = 8;

/// Warns of statistics of few values, once for each layer: a training loop would repeat it.
pub(super) fn warn_of_few_values(said: &AtomicBool, shape: &Shape, spec: &Spec, mode: Mode) {
    let from_batch = spec.can_run() && mode.statistics == Statistics::Batch;
    let n = spec.n();
    if from_batch && (2..FEW).contains(&n) && !said.swap(true, Ordering::Relaxed) {
        log::warn!(
            "training statistics of only {n} values per channel, for an input of {shape}: layer and \
             group norm do not depend on the batch, and wgnorm::guide says more"
        );
    }
}

/// Running statistics of so many channels, as arguments.
pub(super) fn running<'a>(running: &Running<'a>, channels: usize) -> Result<Vec<Argument<'a>>> {
    let mut arguments = vec![("running_mean", running.mean), ("running_var", running.var)];
    for argument in &arguments {
        vector(
            *argument,
            DType::F32,
            channels,
            "one element per channel of x",
        )?;
    }
    if let Some(tracked) = running.num_batches_tracked {
        let argument = ("num_batches_tracked", tracked);
        vector(argument, DType::U32, 1, "one counter")?;
        arguments.push(argument);
    }
    Ok(arguments)
}

/// A mask has x's shape without its channels.
fn check_mask(mask: &Tensor, x: &Tensor, spec: &Spec) -> Result<()> {
    mask.expect_dtype("mask", DType::U32)?;
    let mut dims = x.shape().dims().to_vec();
    dims.remove(spec.axis);
    let expected = Shape::from(dims);
    if *mask.shape() == expected {
        return Ok(());
    }
    Err(Error::Shape {
        name: "mask",
        expected: format!("x's shape without its channels, {expected}"),
        got: mask.shape().clone(),
    })
}

/// The tensors of a forward.
pub(super) fn forward(device: &Device, tensors: &Forward<'_>, spec: &Spec) -> Result<()> {
    stored(tensors.x, spec)?;
    let mut arguments = vec![("x", tensors.x), ("y", tensors.y)];
    arguments.extend(tensors.residual.map(|residual| ("residual", residual)));
    for argument in &arguments {
        activation(*argument, tensors.x)?;
    }
    let parameters = [
        tensors.gamma.map(|t| ("gamma", t)),
        tensors.beta.map(|t| ("beta", t)),
    ];
    for argument in parameters.into_iter().flatten() {
        gains(argument, spec)?;
        arguments.push(argument);
    }
    if let Some(running) = tensors.running {
        arguments.extend(self::running(&running, spec.channels.count)?);
    }
    if let Some(mask) = tensors.mask {
        check_mask(mask, tensors.x, spec)?;
        arguments.push(("mask", mask));
    }
    arguments.extend(tensors.state.map(|state| ("state", state)));
    let in_place = [("x", "y"), ("y", "residual"), ("x", "residual")];
    places(device, &arguments, &in_place)
}

/// What a backward says of a residual.
fn residual(tensors: &Backward<'_>) -> Result<()> {
    if tensors.dresidual.is_some() && !tensors.residual {
        return Err(Error::Option {
            name: "dresidual",
            expected: "a forward that added a residual",
            got: "none".to_owned(),
        });
    }
    Ok(())
}

/// The tensors of a backward.
pub(super) fn backward(device: &Device, tensors: &Backward<'_>, spec: &Spec) -> Result<()> {
    residual(tensors)?;
    stored(tensors.x, spec)?;
    let mut arguments = vec![("x", tensors.x), ("dy", tensors.dy)];
    arguments.extend(tensors.dx.map(|dx| ("dx", dx)));
    arguments.extend(tensors.dresidual.map(|dresidual| ("dresidual", dresidual)));
    for argument in &arguments {
        activation(*argument, tensors.x)?;
    }
    let gains = [
        tensors.gamma.map(|t| ("gamma", t)),
        tensors.beta.map(|t| ("beta", t)),
        tensors.dgamma.map(|t| ("dgamma", t)),
        tensors.dbeta.map(|t| ("dbeta", t)),
    ];
    for argument in gains.into_iter().flatten() {
        vector(argument, DType::F32, spec.parameters.numel(), spec.per)?;
        arguments.push(argument);
    }
    arguments.push(("state", tensors.state));
    places(device, &arguments, &[("x", "dx"), ("dy", "dx")])
}
