//! Batch norm on tensors that are all the caller's: nothing is submitted or waited for, and once an
//! operation was recorded for a shape, recording it again allocates nothing. The first time it
//! compiles its kernels and makes a parameter block of 64 bytes for each.
//!
//! This is the layer to embed in a framework or a render loop: the caller owns every tensor,
//! records into an encoder of its own choice ([`Device::record_into`](crate::Device::record_into))
//! and submits it. One buffer is opaque: the *state*, which a forward with batch statistics leaves
//! behind for its backward; [`state_len`] says how many f32 it needs. All checks come before the
//! first command, so a refused call has recorded nothing.
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
//! and the backward, derived in [`crate::derivation`]:
//!
//! ```text
//! dbeta = sum dy              dgamma = sum dy * xhat           xhat = (x - mean) * rstd
//! dx    = gamma * rstd * (dy - dbeta / n - xhat * dgamma / n)      batch statistics
//! dx    = gamma * rstd * dy                                        running statistics
//! ```

pub use super::cost::{Cost, Operation, cost};
pub use super::planning::state_len;

pub use super::spec::NormOptions;

use super::checks;
use super::numbers::{backward_numbers, forward_numbers};
use super::options::{Mode, Statistics};
use super::planning::{check_state, forward_pass, gain_plan, plan};
use super::spec::{Kind, Spec};
use crate::Result;
use crate::gpu::{Prepared, Recorder, Tensor};
use crate::kernels::{
    Flags, Numbers, backward_dx::BackwardDx, backward_resident::BackwardResident,
    backward_sums::BackwardSums, fold_statistics::FoldStatistics, fold_sums::FoldSums,
    forward_resident::ForwardResident, gain_sums::GainSums, moments::Moments, normalize::Normalize,
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
/// axis.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'a> {
    /// The input, f32 of any shape of rank 2 or more.
    pub x: &'a Tensor,
    /// The output. It may be x itself; a backward then needs another copy of x.
    pub y: &'a Tensor,
    /// What the backward needs, f32 of [`state_len`] elements. Only a forward by running
    /// statistics that moves nothing can do without, and then has no backward.
    pub state: Option<&'a Tensor>,
    /// The scale of each channel, f32 of C elements; 1 where there is none.
    pub gamma: Option<&'a Tensor>,
    /// The shift of each channel, f32 of C elements; 0 where there is none.
    pub beta: Option<&'a Tensor>,
    /// The running statistics, where there are any.
    pub running: Option<Running<'a>>,
}

/// The tensors of a backward; the outputs that are `None` cost nothing.
#[derive(Clone, Copy, Debug)]
pub struct Backward<'a> {
    /// The input of the forward.
    pub x: &'a Tensor,
    /// The gradient of the loss by y, shaped like x.
    pub dy: &'a Tensor,
    /// The state that the forward left.
    pub state: &'a Tensor,
    /// The gamma of the forward.
    pub gamma: Option<&'a Tensor>,
    /// The gradient by x, shaped like it. It may be x or dy itself.
    pub dx: Option<&'a Tensor>,
    /// The gradient by gamma, f32 of C elements.
    pub dgamma: Option<&'a Tensor>,
    /// The gradient by beta, f32 of C elements.
    pub dbeta: Option<&'a Tensor>,
}

/// The statistics that a forward normalized with, C elements each.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedStatistics {
    /// The mean of each channel.
    pub mean: Vec<f32>,
    /// `1 / sqrt(var + eps)` of each channel, with the biased variance.
    pub rstd: Vec<f32>,
}

/// The statistics in a state that was downloaded after its forward ran; fewer where it is too short
/// for that many channels.
#[must_use]
pub fn statistics(state: &[f32], channels: usize) -> SavedStatistics {
    // A header of 4 values, then (K, d, rstd, var) of each channel; the mean is K + d.
    let saved = || state.chunks_exact(4).skip(1).take(channels);
    SavedStatistics {
        mean: saved()
            .map(|c| (f64::from(c[0]) + f64::from(c[1])) as f32)
            .collect(),
        rstd: saved().map(|c| c[2]).collect(),
    }
}

/// Records a forward: two dispatches with the statistics of x, or one where the slots fit the registers
/// of a workgroup; one with running statistics that stay. A tensor larger than one binding takes as many
/// for each of its windows. Running statistics that average over samples take one more.
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
    let own = options.specify(shape)?;
    checks::mode(tensors, &own, mode)?;
    let spec = match mode.statistics {
        Statistics::Running if own.can_run() => own.running(),
        _ => own.clone(),
    };
    checks::forward(recorder.device(), tensors, &spec)?;
    checks::values(tensors, &own, mode)?;
    let pass = if mode.uses_batch() {
        forward_pass(&spec)
    } else {
        Pass::Flat
    };
    let plan = plan(recorder.device(), shape, &spec, pass)?;
    let state = tensors.state.map(|state| ("state", state));
    if let Some((_, state)) = state {
        check_state(recorder.device(), state, shape, &own)?;
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
    let numbers = forward_numbers(tensors, &spec, inner);
    let mut dispatches = prepare_forward(recorder, tensors, inner, &plan, &numbers)?;
    if averages {
        let numbers = forward_numbers(tensors, &spec, mode);
        dispatches.extend(prepare_average(recorder, tensors, &plan, &numbers)?);
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
    let mut dispatches = Vec::with_capacity(2);
    if let Some(state) = tensors.state.filter(|_| mode.uses_batch()) {
        if plan.strategy == Strategy::Resident {
            let resident = ForwardResident {
                x: tensors.x,
                y: tensors.y,
                state,
                gamma: tensors.gamma,
                beta: tensors.beta,
                running_mean: mean,
                running_var: var,
                tracked,
            };
            return resident.prepare(recorder, plan, numbers);
        }
        let moments = Moments {
            x: tensors.x,
            state,
            running_mean: mean,
            running_var: var,
            tracked,
        };
        dispatches.extend(moments.prepare(recorder, plan, numbers)?);
    }
    let normalize = Normalize {
        x: tensors.x,
        y: tensors.y,
        state: tensors.state,
        gamma: tensors.gamma,
        beta: tensors.beta,
        running_mean: mean,
        running_var: var,
    };
    dispatches.extend(normalize.prepare(recorder, plan, numbers)?);
    Ok(dispatches)
}

/// What moves running statistics by the average over the samples.
fn prepare_average(
    recorder: &Recorder<'_>,
    tensors: &Forward<'_>,
    plan: &Plan,
    numbers: &Numbers,
) -> Result<Vec<Prepared>> {
    let (Some(state), Some(running)) = (tensors.state, tensors.running) else {
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
/// Gains that several slots share take one more for their gradients, gains of single elements two.
///
/// An empty x gives gradients of zero; dgamma and dbeta then need usage `COPY_DST`.
pub fn backward(
    recorder: &mut Recorder<'_>,
    tensors: &Backward<'_>,
    options: &impl NormOptions,
    statistics: Statistics,
) -> Result<()> {
    let shape = tensors.x.shape();
    let own = options.specify(shape)?;
    let spec = match statistics {
        Statistics::Running if own.can_run() => own.running(),
        _ => own.clone(),
    };
    checks::backward(recorder.device(), tensors, &spec)?;
    let wants_parameters = tensors.dgamma.is_some() || tensors.dbeta.is_some();
    let pass = if wants_parameters || statistics == Statistics::Batch {
        Pass::Backward
    } else {
        Pass::Flat
    };
    let plan = plan(recorder.device(), shape, &spec, pass)?;
    check_state(recorder.device(), tensors.state, shape, &own)?;
    let Some(plan) = plan else {
        return clear_gradients(recorder, tensors);
    };
    let dispatches = match spec.reduction.gains {
        Gains::Slots => prepare_backward(recorder, tensors, &spec, statistics, &plan)?,
        Gains::Period(_) => prepare_shared_gains(recorder, tensors, &spec, &plan)?,
        _ => prepare_element_gains(recorder, tensors, &spec, &plan)?,
    };
    recorder.dispatch(dispatches);
    Ok(())
}

fn clear_gradients(recorder: &mut Recorder<'_>, tensors: &Backward<'_>) -> Result<()> {
    let dgamma = tensors.dgamma.map(|dgamma| ("dgamma", dgamma));
    let dbeta = tensors.dbeta.map(|dbeta| ("dbeta", dbeta));
    let cleared: Vec<_> = dgamma.into_iter().chain(dbeta).collect();
    recorder.clear(&cleared)
}

/// The dispatches of a backward in which every slot has its own gain.
fn prepare_backward(
    recorder: &Recorder<'_>,
    tensors: &Backward<'_>,
    spec: &Spec,
    statistics: Statistics,
    plan: &Plan,
) -> Result<Vec<Prepared>> {
    let numbers = backward_numbers(tensors, spec, statistics);
    let Backward {
        x,
        dy,
        state,
        gamma,
        dx,
        dgamma,
        dbeta,
    } = *tensors;
    if plan.strategy == Strategy::Resident {
        return resident(tensors).prepare(recorder, plan, &numbers);
    }
    let mut dispatches = Vec::with_capacity(2);
    let wants_parameters = dgamma.is_some() || dbeta.is_some();
    // The sums are the gradients of the parameters, and dx flows through them where the statistics
    // are those of x.
    if wants_parameters || (dx.is_some() && statistics == Statistics::Batch) {
        let gamma = gamma.filter(|_| plan.gains == Gains::Elements);
        let sums = BackwardSums {
            x,
            dy,
            state,
            gamma,
        };
        dispatches.extend(sums.prepare(recorder, plan, &numbers)?);
    }
    if wants_parameters || dx.is_some() {
        let last = BackwardDx {
            x,
            dy,
            state,
            gamma,
            dx,
            dgamma,
            dbeta,
        };
        dispatches.extend(last.prepare(recorder, plan, &numbers)?);
    }
    Ok(dispatches)
}

/// Slots that share gains leave their sums to a dispatch that adds them up.
fn prepare_shared_gains(
    recorder: &Recorder<'_>,
    tensors: &Backward<'_>,
    spec: &Spec,
    plan: &Plan,
) -> Result<Vec<Prepared>> {
    let Backward {
        x,
        dy,
        state,
        dgamma,
        dbeta,
        ..
    } = *tensors;
    let slots = Backward {
        dgamma: None,
        dbeta: None,
        ..*tensors
    };
    let statistics = Statistics::Batch;
    let wants_parameters = dgamma.is_some() || dbeta.is_some();
    let mut dispatches = Vec::with_capacity(3);
    if tensors.dx.is_some() {
        dispatches = prepare_backward(recorder, &slots, spec, statistics, plan)?;
    } else if wants_parameters && plan.strategy == Strategy::Resident {
        let numbers = backward_numbers(&slots, spec, statistics);
        dispatches = resident(&slots).prepare(recorder, plan, &numbers)?;
    } else if wants_parameters {
        let numbers = backward_numbers(&slots, spec, statistics);
        let sums = BackwardSums {
            x,
            dy,
            state,
            gamma: None,
        };
        dispatches = sums.prepare(recorder, plan, &numbers)?;
    }
    if wants_parameters {
        let fold = FoldSums {
            state,
            dgamma,
            dbeta,
        };
        let numbers = backward_numbers(tensors, spec, statistics);
        dispatches.push(fold.prepare(recorder, plan, &numbers)?);
    }
    Ok(dispatches)
}

/// Where every element of a row has its own gain, dx goes along the rows and the gradients of the gains
/// across them: with dx where a workgroup holds whole rows, else in a pass of their own.
fn prepare_element_gains(
    recorder: &Recorder<'_>,
    tensors: &Backward<'_>,
    spec: &Spec,
    plan: &Plan,
) -> Result<Vec<Prepared>> {
    let Backward {
        x,
        dy,
        state,
        dgamma,
        dbeta,
        ..
    } = *tensors;
    let statistics = Statistics::Batch;
    let numbers = backward_numbers(tensors, spec, statistics);
    let wants_parameters = dgamma.is_some() || dbeta.is_some();
    let resident = BackwardResident {
        dgamma: None,
        dbeta: None,
        ..resident(tensors)
    };
    if tensors.dx.is_some() && wants_parameters && plan.gain_shares().is_some() {
        let flags = numbers
            .flags
            .without(Flags::WANT_DGAMMA)
            .without(Flags::WANT_DBETA);
        let along = Numbers {
            flags: flags | Flags::GAIN_SUMS,
            ..numbers
        };
        let mut dispatches = resident.prepare(recorder, plan, &along)?;
        let fold = FoldSums {
            state,
            dgamma,
            dbeta,
        };
        dispatches.push(fold.prepare(recorder, plan, &numbers)?);
        return Ok(dispatches);
    }
    let mut dispatches = Vec::with_capacity(4);
    if tensors.dx.is_some() {
        let rows = Backward {
            dgamma: None,
            dbeta: None,
            ..*tensors
        };
        dispatches = prepare_backward(recorder, &rows, spec, statistics, plan)?;
    }
    let across = gain_plan(recorder.device(), spec)?;
    if let Some(across) = across.filter(|_| wants_parameters) {
        let gains = Backward {
            gamma: None,
            dx: None,
            ..*tensors
        };
        let numbers = backward_numbers(&gains, spec, statistics);
        let sums = GainSums { x, dy, state };
        dispatches.extend(sums.prepare(recorder, &across, &numbers)?);
        let last = BackwardDx {
            x,
            dy,
            state,
            gamma: None,
            dx: None,
            dgamma,
            dbeta,
        };
        dispatches.extend(last.prepare(recorder, &across, &numbers)?);
    }
    Ok(dispatches)
}

fn resident<'a>(tensors: &Backward<'a>) -> BackwardResident<'a> {
    let Backward {
        x,
        dy,
        state,
        gamma,
        dx,
        dgamma,
        dbeta,
    } = *tensors;
    BackwardResident {
        x,
        dy,
        state,
        gamma,
        dx,
        dgamma,
        dbeta,
    }
}
