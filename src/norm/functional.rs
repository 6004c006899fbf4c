//! Every norm on tensors that are all the caller's: the layer to embed in a framework, an engine or
//! a render loop. Nothing is submitted, polled or waited for, and once an operation was recorded,
//! recording it again creates nothing on the device.
//!
#![doc = include_str!("../gpu/embedding.md")]
//!
//! # Formulas
//!
//! Sums of squares are f32: a channel needs n·var below 3e38, and one that overflows gives NaN.
//!
//! The forward is Ioffe & Szegedy (2015) with PyTorch's conventions, per channel of n elements:
//!
//! ```text
//! mean = sum x / n            var = sum (x - mean)^2 / n       rstd = 1 / sqrt(var + eps)
//! y    = (x - mean) * rstd * gamma + beta
//! running_mean = (1 - m) * running_mean + m * mean
//! running_var  = (1 - m) * running_var  + m * var * n / (n - 1)
//! ```
//!
//! The other norms have the same formulas with n elements of other places: a row for layer norm, a group
//! of channels or one channel of a sample for group and instance norm. RMS norm takes a mean of 0, weight
//! norm that and a sum for the mean of squares, and batch renorm has `xhat * r + d` for xhat.
//!
//! And the backward, derived in [`crate::derivation`], where gamma differs within the n elements with
//! `dy * gamma` for dy in dx, and sums over all elements that share a gain in dgamma and dbeta:
//!
//! ```text
//! dbeta = sum dy              dgamma = sum dy * xhat           xhat = (x - mean) * rstd
//! dx    = gamma * rstd * (dy - dbeta / n - xhat * dgamma / n)      batch statistics
//! dx    = gamma * rstd * dy                                        running statistics
//! ```

pub use super::cost::{Cost, Operation, cost, cost_with_residual};
pub use super::masked::masked_state_len;
pub use super::planning::state_len;

pub use super::spec::NormOptions;

use super::checks;
use super::gradients::{Step, backward_pass};
use super::masked;
use super::numbers::{forward_numbers, is_gated};
use super::options::{Mode, Statistics};
use super::planning::{check_state, forward_pass, gated_pass, plan};
use super::spec::Kind;
use crate::Result;
use crate::gpu::{Prepared, Recorder, Tensor};
use crate::kernels::{
    Flags, Numbers, fold_statistics::FoldStatistics, forward_resident, moments::Moments,
    normalize::Normalize,
};
use crate::plan::{Gains, Pass, Plan, Strategy};

/// The running statistics of a layer, f32 of C elements each.
#[derive(Clone, Copy, Debug)]
pub struct Running<'a> {
    /// The running mean.
    pub mean: &'a Tensor,
    /// The running variance.
    pub var: &'a Tensor,
    /// How many batches have moved them: u32, one element. Optional, but for a cumulative mean.
    pub num_batches_tracked: Option<&'a Tensor>,
}

/// The tensors of a forward. x and y have one shape and type; C is x's length along the channel
/// axis, or for layer and RMS norm the number of elements of a row, where it is about gamma and beta.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'a> {
    /// The input, f32, f16 or bf16 of any shape of rank 2 or more.
    pub x: &'a Tensor,
    /// The output, of x's shape and type. It may be x itself; a backward then needs another copy of x.
    pub y: &'a Tensor,
    /// What the backward needs, f32 of [`state_len`] elements. Only a forward by running
    /// statistics that moves nothing can do without, and then has no backward.
    pub state: Option<&'a Tensor>,
    /// The scales, f32 of C elements; 1 where there are none.
    pub gamma: Option<&'a Tensor>,
    /// The shifts, f32 of C elements; 0 where there are none.
    pub beta: Option<&'a Tensor>,
    /// The running statistics, where there are any.
    pub running: Option<Running<'a>>,
    /// What is added to the norm before the activation, shaped like x. y may be in its place.
    pub residual: Option<&'a Tensor>,
    /// For batch norm which elements are valid: u32, not 0 where they are, of x's shape without its channels.
    /// The others count in no statistic, may be NaN, and become 0. The state then has
    /// [`masked_state_len`] elements and is always needed; a channel of fewer than two valid elements
    /// becomes beta and leaves its running statistics alone.
    pub mask: Option<&'a Tensor>,
}

impl<'a> Forward<'a> {
    /// A forward without anything optional.
    #[must_use]
    pub fn new(x: &'a Tensor, y: &'a Tensor) -> Self {
        Self {
            x,
            y,
            state: None,
            gamma: None,
            beta: None,
            running: None,
            residual: None,
            mask: None,
        }
    }
}

/// The tensors of a backward; the outputs that are `None` cost nothing.
#[derive(Clone, Copy, Debug)]
pub struct Backward<'a> {
    /// The input of the forward.
    pub x: &'a Tensor,
    /// The gradient of the loss by y, of x's shape and type.
    pub dy: &'a Tensor,
    /// The state that the forward left.
    pub state: &'a Tensor,
    /// The gamma of the forward.
    pub gamma: Option<&'a Tensor>,
    /// The beta of the forward. It is only looked at where an activation followed and no residual
    /// was added: what passed is then computed again.
    pub beta: Option<&'a Tensor>,
    /// Whether the forward added a residual.
    pub residual: bool,
    /// Whether the forward had a mask; the gradients of what was not valid are 0.
    pub masked: bool,
    /// The gradient by x, of its shape and type. It may be x or dy itself.
    pub dx: Option<&'a Tensor>,
    /// The gradient by gamma, f32 of C elements.
    pub dgamma: Option<&'a Tensor>,
    /// The gradient by beta, f32 of C elements.
    pub dbeta: Option<&'a Tensor>,
    /// The gradient by the residual, shaped like x: dy where it passed the activation. Layer and RMS norm
    /// need it wherever an activation followed a residual, and other norms this, or a dx that is neither x nor
    /// dy, where the elements behind a channel are no multiple of four, as in planes of 7x7.
    pub dresidual: Option<&'a Tensor>,
}

impl<'a> Backward<'a> {
    /// A backward that wants nothing, of a forward without anything optional.
    #[must_use]
    pub fn new(x: &'a Tensor, dy: &'a Tensor, state: &'a Tensor) -> Self {
        Self {
            x,
            dy,
            state,
            gamma: None,
            beta: None,
            residual: false,
            masked: false,
            dx: None,
            dgamma: None,
            dbeta: None,
            dresidual: None,
        }
    }

    /// Whether there is a gradient for each element.
    pub(super) fn wants_words(&self) -> bool {
        self.dx.is_some() || self.dresidual.is_some()
    }

    pub(super) fn wants_parameters(&self) -> bool {
        self.dgamma.is_some() || self.dbeta.is_some()
    }

    /// The same without the gradients of gamma and beta.
    pub(super) fn without_parameters(&self) -> Self {
        Self {
            dgamma: None,
            dbeta: None,
            ..*self
        }
    }
}

/// The statistics that a forward normalized with: of each channel for batch norm, of each row for layer
/// and RMS norm, of each sample's groups or channels for group and instance norm.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedStatistics {
    /// The means; 0 where none is subtracted.
    pub mean: Vec<f32>,
    /// `1 / sqrt(var + eps)` of each, with the biased variance.
    pub rstd: Vec<f32>,
}

/// The first `count` statistics in a state that was downloaded after its forward ran; fewer where it is
/// too short for that many.
#[must_use]
pub fn statistics(state: &[f32], count: usize) -> SavedStatistics {
    // A header of 4 values, then (K, d, rstd, var) of each; the mean is K + d.
    let saved = || state.chunks_exact(4).skip(1).take(count);
    SavedStatistics {
        mean: saved()
            .map(|c| (f64::from(c[0]) + f64::from(c[1])) as f32)
            .collect(),
        rstd: saved().map(|c| c[2]).collect(),
    }
}

/// Records a forward: two dispatches with the statistics of x, or one where the slots fit the registers
/// of a workgroup; one with running statistics that stay. A tensor larger than one binding takes as many
/// for each of its windows; parameters and the state must fit one, or it fails with
/// [`TooLarge`](crate::Error::TooLarge). Running statistics that average over samples take one more.
///
/// An empty x records nothing but a state of zeros (which then needs usage `COPY_DST`), and moves
/// nothing.
pub fn forward(
    recorder: &mut Recorder<'_>,
    tensors: &Forward<'_>,
    options: &impl NormOptions,
    mode: Mode,
) -> Result<()> {
    let shape = tensors.x.shape();
    let own = options.specify(shape)?.of_type(tensors.x.dtype());
    if tensors.mask.is_some() {
        masked::allowed(&own)?;
    }
    checks::mode(tensors, &own, mode)?;
    let spec = match mode.statistics {
        Statistics::Running if own.can_run() => own.running(),
        _ => own.clone(),
    };
    checks::forward(recorder.device(), tensors, &spec)?;
    if let Some(mask) = tensors.mask {
        return masked::forward(recorder, tensors, &spec, mode, mask);
    }
    checks::values(tensors, &own, mode)?;
    let pass = if is_gated(&spec, tensors.residual.is_some()) && tensors.state.is_some() {
        gated_pass(&spec)
    } else if mode.uses_batch() {
        forward_pass(&spec)
    } else {
        Pass::Flat
    };
    let plan = plan(recorder.device(), shape, &spec, pass)?;
    let state = tensors.state.map(|state| ("state", state));
    let mut gates = 0;
    if let Some((_, state)) = state {
        gates = check_state(recorder.device(), state, shape, &own)?;
    }
    let Some(plan) = plan else {
        return recorder.clear(state.as_slice());
    };
    // Where several samples move the running statistics, a dispatch of its own does it.
    let averages = spec.kind == Kind::Averaged && mode.update_running;
    let inner = Mode {
        update_running: mode.update_running && !averages,
        ..mode
    };
    let numbers = forward_numbers(tensors, &spec, inner, gates);
    let mut dispatches = prepare_forward(recorder, tensors, inner, &plan, &numbers)?;
    if averages {
        let numbers = forward_numbers(tensors, &spec, mode, gates);
        if let Some(running) = tensors.running {
            dispatches.extend(prepare_average(
                recorder, tensors, running, &plan, &numbers,
            )?);
        }
    }
    recorder.dispatch(dispatches);
    Ok(())
}

fn prepare_forward(
    recorder: &Recorder<'_>,
    tensors: &Forward<'_>,
    mode: Mode,
    plan: &Plan,
    numbers: &Numbers,
) -> Result<Vec<Prepared>> {
    let running = tensors.running.filter(|_| plan.gains == Gains::Slots);
    let (mean, var) = (running.map(|r| r.mean), running.map(|r| r.var));
    let tracked = running
        .and_then(|r| r.num_batches_tracked)
        .filter(|_| mode.update_running);
    let normalize = Normalize {
        x: tensors.x,
        y: tensors.y,
        residual: tensors.residual,
        state: tensors.state,
        gamma: tensors.gamma,
        beta: tensors.beta,
        running_mean: mean,
        running_var: var,
    };
    if plan.strategy == Strategy::Resident {
        // Counting takes a binding that a residual needs.
        let apart = running.filter(|_| tensors.residual.is_some() && tracked.is_some());
        let tracked = tracked.filter(|_| apart.is_none());
        let mut dispatches =
            forward_resident::prepare(&normalize, tracked, recorder, plan, numbers)?;
        if let Some(running) = apart {
            let flags = Flags::HAS_TRACKED;
            let counts = Numbers { flags, ..*numbers };
            dispatches.extend(prepare_average(recorder, tensors, running, plan, &counts)?);
        }
        return Ok(dispatches);
    }
    let mut dispatches = Vec::with_capacity(2);
    if let Some(state) = tensors.state.filter(|_| mode.uses_batch()) {
        let moments = Moments {
            x: tensors.x,
            state,
            running_mean: mean,
            running_var: var,
            tracked,
        };
        dispatches.extend(moments.prepare(recorder, plan, numbers)?);
    }
    dispatches.extend(normalize.prepare(recorder, plan, numbers)?);
    Ok(dispatches)
}

/// What moves running statistics by the average over the samples, or only counts the batch.
fn prepare_average(
    recorder: &Recorder<'_>,
    tensors: &Forward<'_>,
    running: Running<'_>,
    plan: &Plan,
    numbers: &Numbers,
) -> Result<Vec<Prepared>> {
    let Some(state) = tensors.state else {
        return Ok(Vec::new());
    };
    let average = FoldStatistics {
        state,
        running_mean: running.mean,
        running_var: running.var,
        tracked: running.num_batches_tracked,
    };
    average.prepare(recorder, plan, numbers)
}

/// Records the backward of a forward that had the same options and statistics: two dispatches, or
/// one where the slots fit the registers of a workgroup or only dx by running statistics is wanted.
/// Gains that several slots share take one more for their gradients; gains of single elements one, or two
/// where rows do not fit registers.
///
/// What a forward says of one binding holds here too, for dgamma and dbeta as well.
///
/// An empty x gives gradients of zero; dgamma and dbeta then need usage `COPY_DST`.
pub fn backward(
    recorder: &mut Recorder<'_>,
    tensors: &Backward<'_>,
    options: &impl NormOptions,
    statistics: Statistics,
) -> Result<()> {
    let shape = tensors.x.shape();
    let own = options.specify(shape)?.of_type(tensors.x.dtype());
    let spec = match statistics {
        Statistics::Running if own.can_run() => own.running(),
        _ => own.clone(),
    };
    if tensors.masked {
        masked::allowed(&own)?;
    }
    checks::statistics(&own, statistics)?;
    checks::backward(recorder.device(), tensors, &spec)?;
    if tensors.masked {
        return masked::backward(recorder, tensors, &spec, statistics);
    }
    let pass = backward_pass(&spec, tensors, statistics);
    let plan = plan(recorder.device(), shape, &spec, pass)?;
    let gates = check_state(recorder.device(), tensors.state, shape, &own)?;
    let Some(plan) = plan else {
        return clear_gradients(recorder, tensors);
    };
    let step = Step {
        recorder,
        spec: &spec,
        statistics,
        gates,
        masked: None,
    };
    let dispatches = step.prepare(tensors, &plan)?;
    recorder.dispatch(dispatches);
    Ok(())
}

pub(super) fn clear_gradients(recorder: &mut Recorder<'_>, tensors: &Backward<'_>) -> Result<()> {
    let dgamma = tensors.dgamma.map(|dgamma| ("dgamma", dgamma));
    let dbeta = tensors.dbeta.map(|dbeta| ("dbeta", dbeta));
    let cleared: Vec<_> = dgamma.into_iter().chain(dbeta).collect();
    recorder.clear(&cleared)
}
