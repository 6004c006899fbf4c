//! Moments, what merges them, and what is done with the statistics that they are.

use super::rows::{Kind, Row, check_one_row, merge_rows, rows_of};
use super::step::{Step, least_state};
use crate::gpu::{Recorder, Tensor};
use crate::kernels::{
    Finish, Flags, Numbers, finish_moments::FinishMoments, merge_moments, moments::Moments,
    normalize::Normalize,
};
use crate::norm::checks;
use crate::norm::functional::{Forward, Running};
use crate::norm::options::{Activation, BatchNormOptions, Momentum};
use crate::norm::spec::checked_eps;
use crate::plan::{Channels, Parts};
use crate::{Error, Result};

/// Records the moments of x: two dispatches, or for an empty x one that writes moments of no values. A
/// tensor larger than one binding takes one more for each of its further windows.
///
/// `out` is for f32 `[C, 4]`. The state is only used as space.
pub fn partial<'a>(
    recorder: &mut Recorder<'_>,
    x: &Tensor,
    state: &Tensor,
    out: impl Into<Row<'a>>,
    options: &BatchNormOptions,
) -> Result<()> {
    let out = out.into();
    let step = Step::new(recorder, x, options)?;
    checks::stored(x, &step.spec)?;
    step.check_state(state)?;
    step.check_row(("moments", out), Kind::Moments)?;
    let arguments = [("x", x), ("state", state), ("moments", out.tensor)];
    checks::places(recorder.device(), &arguments, &[])?;
    let mut dispatches = Vec::with_capacity(2);
    let mut parts = Parts::default();
    if let Some(plan) = step.split()? {
        let moments = Moments {
            x,
            state,
            running_mean: None,
            running_var: None,
            tracked: None,
        };
        dispatches.extend(moments.prepare(recorder, &plan, &step.numbers())?);
        parts = Parts::of_plan(&plan, step.numbers().saved);
    }
    let merge = out.merge_of(state, parts);
    dispatches.push(merge_moments::prepare(&merge, recorder, &step.channels)?);
    recorder.dispatch(dispatches);
    Ok(())
}

/// Merges all moments of each channel, row by row and tensor by tensor, into one: a dispatch for each
/// tensor. The first tensor may be `out`, if it has one row: the others are then added to it.
///
/// Rows of one tensor are added up in levels, tensors one after the other: for hundreds of them, merge
/// rows of 32 or so first.
pub fn merge<'a>(
    recorder: &mut Recorder<'_>,
    moments: &[&Tensor],
    out: impl Into<Row<'a>>,
) -> Result<()> {
    merge_rows(recorder, Kind::Moments, moments, out.into())
}

/// Makes statistics of merged moments `[C, 4]`: one dispatch, or two with a cumulative mean.
///
/// They are left in the state for [`normalize`] and the backward, each with its own n. The running
/// statistics, where there are any, move by the momentum of the options, as those of
/// [`functional::forward`](crate::functional::forward) do; with a momentum that weighs the old value by 0
/// they are set, whatever they were. `num_batches_tracked` counts one batch. A channel of fewer than two
/// values leaves its running statistics alone, and one of none is normalized with mean and variance 0.
pub fn finalize(
    recorder: &mut Recorder<'_>,
    moments: &Tensor,
    running: Option<Running<'_>>,
    state: Option<&Tensor>,
    options: &BatchNormOptions,
) -> Result<()> {
    let finish = Finish {
        flags: finish_flags(running, state, options),
        ..finish_by(options)?
    };
    let count = rows_of(recorder.device(), ("moments", moments), Kind::Moments)?.1;
    check_one_row(("moments", moments), count, Kind::Moments)?;
    let mut arguments = vec![("moments", moments)];
    if let Some(state) = state {
        checks::at_least(("state", state), least_state(count))?;
        arguments.push(("state", state));
    }
    let tracked = running.and_then(|running| running.num_batches_tracked);
    if let Some(running) = running {
        arguments.extend(checks::running(&running, count)?);
        if options.momentum == Momentum::Cumulative && tracked.is_none() {
            let reason = "a cumulative mean counts batches in it";
            let name = "num_batches_tracked";
            return Err(Error::Missing { name, reason });
        }
    }
    checks::places(recorder.device(), &arguments, &[])?;
    let tensors = FinishMoments {
        moments,
        state,
        running_mean: running.map(|running| running.mean),
        running_var: running.map(|running| running.var),
        tracked,
    };
    let channels = Channels::new(count, recorder.device().limits())?;
    let dispatches = tensors.prepare(recorder, &channels, &finish)?;
    recorder.dispatch(dispatches);
    Ok(())
}

fn finish_flags(
    running: Option<Running<'_>>,
    state: Option<&Tensor>,
    options: &BatchNormOptions,
) -> Flags {
    let tracked = running.and_then(|running| running.num_batches_tracked);
    let cumulative = running.is_some() && options.momentum == Momentum::Cumulative;
    Flags::SAVE.when(state.is_some())
        | Flags::UPDATE_RUNNING.when(running.is_some())
        | Flags::HAS_TRACKED.when(tracked.is_some())
        | Flags::CUMULATIVE.when(cumulative)
}

fn finish_by(options: &BatchNormOptions) -> Result<Finish> {
    let (old_weight, new_weight) = options.momentum.weights()?;
    Ok(Finish {
        flags: Flags::default(),
        eps: checked_eps(options.eps)?,
        old_weight,
        new_weight,
        uncounted: options.running_variance.uncounted(),
    })
}

/// Moments are of all elements.
pub(super) fn unmasked(masked: bool) -> Result<()> {
    if !masked {
        return Ok(());
    }
    Err(Error::Option {
        name: "mask",
        expected: "none where statistics are those of moments",
        got: "one".to_owned(),
    })
}

/// Which elements passed an activation behind a residual is not kept.
pub(super) fn ungated(residual: bool, options: &BatchNormOptions) -> Result<()> {
    if !residual || options.activation == Activation::None {
        return Ok(());
    }
    Err(Error::Option {
        name: "residual",
        expected: "none before an activation where statistics are those of moments",
        got: "one".to_owned(),
    })
}

/// Records `y = (x - mean) * rstd * gamma + beta` by the statistics that [`finalize`] left in the state:
/// one dispatch, or none for an empty x. Running statistics among the tensors have no part in it.
pub fn normalize(
    recorder: &mut Recorder<'_>,
    tensors: &Forward<'_>,
    options: &BatchNormOptions,
) -> Result<()> {
    let step = Step::new(recorder, tensors.x, options)?;
    let tensors = Forward {
        running: None,
        ..*tensors
    };
    checks::forward(recorder.device(), &tensors, &step.spec)?;
    unmasked(tensors.mask.is_some())?;
    let Some(state) = tensors.state else {
        let reason = "the statistics to normalize by are in it";
        let name = "state";
        return Err(Error::Missing { name, reason });
    };
    step.check_state(state)?;
    ungated(tensors.residual.is_some(), options)?;
    let has_relu = options.activation == Activation::Relu;
    let Some(plan) = step.flat()? else {
        return Ok(());
    };
    let normalize = Normalize {
        x: tensors.x,
        y: tensors.y,
        residual: tensors.residual,
        state: Some(state),
        gamma: tensors.gamma,
        beta: tensors.beta,
        running_mean: None,
        running_var: None,
    };
    let numbers = Numbers {
        flags: Flags::SAVED
            | Flags::HAS_GAMMA.when(tensors.gamma.is_some())
            | Flags::HAS_BETA.when(tensors.beta.is_some())
            | Flags::RELU.when(has_relu),
        ..step.numbers()
    };
    let dispatches = normalize.prepare(recorder, &plan, &numbers)?;
    recorder.dispatch(dispatches);
    Ok(())
}
