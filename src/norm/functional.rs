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

use super::checks;
use super::options::{BatchNormOptions, Mode, Momentum, RunningVariance, Statistics};
use super::planning::{check_state, forward_pass, plan};
use crate::gpu::{Prepared, Recorder, Tensor};
use crate::kernels::{
    Flags, Numbers, backward_dx::BackwardDx, backward_resident::BackwardResident,
    backward_sums::BackwardSums, forward_resident::ForwardResident, moments::Moments,
    normalize::Normalize,
};
use crate::plan::{Pass, Plan, Strategy};
use crate::{Error, Result, View};

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

/// Records a forward: two dispatches with batch statistics, or one where the channels fit the registers
/// of a workgroup; one with running statistics that stay. A tensor larger than one binding takes as many
/// for each of its windows.
///
/// An empty x records nothing but a state of zeros (which then needs usage `COPY_DST`), and moves
/// nothing.
pub fn forward(
    recorder: &mut Recorder<'_>,
    tensors: &Forward<'_>,
    options: &BatchNormOptions,
    mode: Mode,
) -> Result<()> {
    let shape = tensors.x.shape();
    let view = View::channels(shape, options.channel_axis)?;
    let numbers = forward_numbers(tensors, options, mode, view)?;
    checks::forward(recorder.device(), tensors, view)?;
    if mode.uses_batch() && view.slot_len() == 1 {
        return Err(Error::OneValuePerChannel {
            shape: shape.clone(),
        });
    }
    if mode.uses_batch() && tensors.state.is_none() {
        let reason = "batch statistics are kept in it";
        return Err(Error::Missing {
            name: "state",
            reason,
        });
    }
    let pass = if mode.uses_batch() {
        forward_pass(options)
    } else {
        Pass::Flat
    };
    let plan = plan(recorder.device(), shape, view, options, pass)?;
    let state = tensors.state.map(|state| ("state", state));
    if let Some((_, state)) = state {
        check_state(recorder.device(), state, shape, options)?;
    }
    let Some(plan) = plan else {
        return recorder.clear(state.as_slice());
    };
    let dispatches = prepare_forward(recorder, tensors, mode, &plan, &numbers)?;
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
    let running = tensors.running;
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

/// Records the backward of a forward that had the same options and statistics: two dispatches, or
/// one where the channels fit the registers of a workgroup or only dx by running statistics is wanted.
///
/// An empty x gives gradients of zero; dgamma and dbeta then need usage `COPY_DST`.
pub fn backward(
    recorder: &mut Recorder<'_>,
    tensors: &Backward<'_>,
    options: &BatchNormOptions,
    statistics: Statistics,
) -> Result<()> {
    let shape = tensors.x.shape();
    let view = View::channels(shape, options.channel_axis)?;
    let numbers = backward_numbers(tensors, options, statistics)?;
    checks::backward(recorder.device(), tensors, view)?;
    let wants_parameters = tensors.dgamma.is_some() || tensors.dbeta.is_some();
    let pass = if wants_parameters || statistics == Statistics::Batch {
        Pass::Backward
    } else {
        Pass::Flat
    };
    let plan = plan(recorder.device(), shape, view, options, pass)?;
    check_state(recorder.device(), tensors.state, shape, options)?;
    let Some(plan) = plan else {
        let dgamma = tensors.dgamma.map(|dgamma| ("dgamma", dgamma));
        let dbeta = tensors.dbeta.map(|dbeta| ("dbeta", dbeta));
        let cleared: Vec<_> = dgamma.into_iter().chain(dbeta).collect();
        return recorder.clear(&cleared);
    };
    let dispatches = prepare_backward(recorder, tensors, statistics, &plan, &numbers)?;
    recorder.dispatch(dispatches);
    Ok(())
}

fn prepare_backward(
    recorder: &Recorder<'_>,
    tensors: &Backward<'_>,
    statistics: Statistics,
    plan: &Plan,
    numbers: &Numbers,
) -> Result<Vec<Prepared>> {
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
        let resident = BackwardResident {
            x,
            dy,
            state,
            gamma,
            dx,
            dgamma,
            dbeta,
        };
        return resident.prepare(recorder, plan, numbers);
    }
    let mut dispatches = Vec::with_capacity(2);
    let wants_parameters = dgamma.is_some() || dbeta.is_some();
    // The sums are the gradients of the parameters, and dx flows through them where the batch's
    // statistics normalized.
    if wants_parameters || (dx.is_some() && statistics == Statistics::Batch) {
        let sums = BackwardSums { x, dy, state };
        dispatches.extend(sums.prepare(recorder, plan, numbers)?);
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
        dispatches.extend(last.prepare(recorder, plan, numbers)?);
    }
    Ok(dispatches)
}

fn backward_numbers(
    tensors: &Backward<'_>,
    options: &BatchNormOptions,
    statistics: Statistics,
) -> Result<Numbers> {
    Ok(Numbers {
        flags: Flags::HAS_GAMMA.when(tensors.gamma.is_some())
            | Flags::USE_RUNNING.when(statistics == Statistics::Running)
            | Flags::WANT_DX.when(tensors.dx.is_some())
            | Flags::WANT_DGAMMA.when(tensors.dgamma.is_some())
            | Flags::WANT_DBETA.when(tensors.dbeta.is_some()),
        eps: options.checked_eps()?,
        // Only a forward moves running statistics.
        old_weight: 0.0,
        new_weight: 0.0,
        running_divisor: 0.0,
    })
}

/// Checks the options against the mode and translates both for the kernels.
fn forward_numbers(
    tensors: &Forward<'_>,
    options: &BatchNormOptions,
    mode: Mode,
    view: View,
) -> Result<Numbers> {
    let eps = options.checked_eps()?;
    let (old_weight, new_weight) = options.momentum.weights()?;
    let uses_running = mode.statistics == Statistics::Running;
    if tensors.running.is_none() && (uses_running || mode.update_running) {
        let reason = "the mode normalizes by running statistics or moves them";
        return Err(Error::Missing {
            name: "running_mean",
            reason,
        });
    }
    let cumulative = options.momentum == Momentum::Cumulative;
    let tracked = tensors
        .running
        .and_then(|running| running.num_batches_tracked);
    if mode.update_running && cumulative && tracked.is_none() {
        let reason = "a cumulative mean counts batches in it";
        return Err(Error::Missing {
            name: "num_batches_tracked",
            reason,
        });
    }
    // A forward by running statistics that also moves them has them saved by its first dispatch.
    let saves = tensors.state.is_some() && !(uses_running && mode.update_running);
    let n = view.slot_len() as f64;
    let running_divisor = match options.running_variance {
        RunningVariance::Unbiased => n - 1.0,
        RunningVariance::Biased => n,
    };
    Ok(Numbers {
        flags: Flags::HAS_GAMMA.when(tensors.gamma.is_some())
            | Flags::HAS_BETA.when(tensors.beta.is_some())
            | Flags::USE_RUNNING.when(uses_running)
            | Flags::UPDATE_RUNNING.when(mode.update_running)
            | Flags::CUMULATIVE.when(cumulative)
            | Flags::HAS_TRACKED.when(mode.update_running && tracked.is_some())
            | Flags::SAVE.when(saves),
        eps,
        old_weight,
        new_weight,
        running_divisor: running_divisor as f32,
    })
}
