//! The backward dual: sums of each part, and the gradients from those of all.

use super::forward::{ungated, unmasked};
use super::rows::{Kind, Row, check_one_row, merge_rows};
use super::step::Step;
use crate::Result;
use crate::gpu::{Prepared, Recorder, Tensor};
use crate::kernels::{
    Flags, Numbers, backward_dx::BackwardDx, backward_sums::BackwardSums, finish_sums::FinishSums,
    merge_sums as add_sums,
};
use crate::norm::checks;
use crate::norm::functional::Backward;
use crate::norm::numbers::recomputes;
use crate::norm::options::BatchNormOptions;
use crate::plan::{Parts, Plan};

/// Records what the backward needs of x and dy, `(sum dy, sum dy * xhat)` of each channel, by the
/// statistics in the state: two dispatches, or for an empty x one that writes zeros.
///
/// `out` is for f32 `[C, 2]`. Of the tensors only x, dy and the state have a part in it, and where an
/// activation followed gamma and beta.
pub fn partial_sums<'a>(
    recorder: &mut Recorder<'_>,
    tensors: &Backward<'_>,
    out: impl Into<Row<'a>>,
    options: &BatchNormOptions,
) -> Result<()> {
    let out = out.into();
    let Backward { x, dy, state, .. } = *tensors;
    let step = Step::new(recorder, x, options)?;
    checks::stored(x, &step.spec)?;
    checks::activation(("dy", dy), x)?;
    unmasked(tensors.masked)?;
    ungated(tensors.residual, options)?;
    step.check_state(state)?;
    step.check_row(("sums", out), Kind::Sums)?;
    let recomputes = recomputes(&step.spec, tensors.residual);
    let gamma = tensors.gamma.filter(|_| recomputes);
    let beta = tensors.beta.filter(|_| recomputes);
    let mut arguments = vec![("x", x), ("dy", dy), ("state", state), ("sums", out.tensor)];
    for (name, gains) in [("gamma", gamma), ("beta", beta)] {
        let argument = gains.map(|gains| (name, gains));
        arguments.extend(argument);
        argument.map_or(Ok(()), |gains| checks::gains(gains, &step.spec))?;
    }
    checks::places(recorder.device(), &arguments, &[])?;
    let mut dispatches = Vec::with_capacity(2);
    let mut parts = Parts::default();
    if let Some(plan) = step.split()? {
        let sums = BackwardSums {
            x,
            dy,
            state,
            gamma,
            beta,
            recomputes,
        };
        let numbers = Numbers {
            flags: gate_flags(&sums),
            ..step.numbers()
        };
        dispatches.extend(sums.prepare(recorder, &plan, &numbers)?);
        // Sums are two f32, the state's vectors four.
        parts = Parts::of_plan(&plan, step.numbers().saved).halved();
    }
    let merge = out.merge_of(state, parts);
    dispatches.push(add_sums::prepare(&merge, recorder, &step.channels)?);
    recorder.dispatch(dispatches);
    Ok(())
}

/// Adds up all sums of each channel as [`merge`](super::merge) merges moments.
pub fn merge_sums<'a>(
    recorder: &mut Recorder<'_>,
    sums: &[&Tensor],
    out: impl Into<Row<'a>>,
) -> Result<()> {
    merge_rows(recorder, Kind::Sums, sums, out.into())
}

/// Records the gradients that are there among the tensors, from the sums `[C, 2]` of all parts: dgamma
/// and dbeta are these sums, and dx is that of this x, through statistics of as many values as
/// [`finalize`](super::finalize) was told. One dispatch, and another for dx.
///
/// For dgamma and dbeta of one process alone, whose sum its framework takes, give its own sums and no dx.
pub fn backward(
    recorder: &mut Recorder<'_>,
    tensors: &Backward<'_>,
    sums: &Tensor,
    options: &BatchNormOptions,
) -> Result<()> {
    let step = Step::new(recorder, tensors.x, options)?;
    checks::backward(recorder.device(), tensors, &step.spec)?;
    unmasked(tensors.masked)?;
    ungated(tensors.residual, options)?;
    step.check_state(tensors.state)?;
    step.check_row(("sums", sums.into()), Kind::Sums)?;
    check_one_row(("sums", sums), step.count(), Kind::Sums)?;
    sums.expect_device("sums", recorder.device())?;
    let named = [
        ("state", Some(tensors.state)),
        ("dx", tensors.dx),
        ("dgamma", tensors.dgamma),
        ("dbeta", tensors.dbeta),
    ];
    for (name, other) in named {
        let pair = other.map(|other| [("sums", sums), (name, other)]);
        pair.map_or(Ok(()), |pair| checks::disjoint(&pair, &[]))?;
    }
    let plan = step.flat()?;
    let plan = plan.filter(|_| tensors.wants_words());
    let wanted = Flags::WANT_DGAMMA.when(tensors.dgamma.is_some())
        | Flags::WANT_DBETA.when(tensors.dbeta.is_some())
        | Flags::WANT_DX.when(plan.is_some());
    if wanted == Flags::default() {
        return Ok(());
    }
    let finish = FinishSums {
        sums,
        state: tensors.state,
        dgamma: tensors.dgamma,
        dbeta: tensors.dbeta,
    };
    let mut dispatches = vec![finish.prepare(recorder, &step.channels, wanted)?];
    if let Some(plan) = plan {
        dispatches.extend(step.prepare_dx(recorder, tensors, plan)?);
    }
    recorder.dispatch(dispatches);
    Ok(())
}

fn gate_flags(sums: &BackwardSums<'_>) -> Flags {
    Flags::HAS_GAMMA.when(sums.gamma.is_some()) | Flags::HAS_BETA.when(sums.beta.is_some())
}

impl Step {
    fn prepare_dx(
        &self,
        recorder: &Recorder<'_>,
        tensors: &Backward<'_>,
        mut plan: Plan,
    ) -> Result<Vec<Prepared>> {
        let recomputes = recomputes(&self.spec, tensors.residual);
        let beta = tensors.beta.filter(|_| recomputes);
        let dx = BackwardDx {
            x: tensors.x,
            dy: tensors.dy,
            state: tensors.state,
            gamma: tensors.gamma,
            beta,
            recomputes,
            dx: tensors.dx,
            dresidual: tensors.dresidual,
            dgamma: None,
            dbeta: None,
        };
        let numbers = Numbers {
            flags: Flags::WANT_DX.when(tensors.dx.is_some())
                | Flags::WANT_DRESIDUAL.when(tensors.dresidual.is_some())
                | Flags::HAS_GAMMA.when(tensors.gamma.is_some())
                | Flags::HAS_BETA.when(beta.is_some()),
            n: 1.0,
            ..self.numbers()
        };
        // The one partial result of each channel is a mean already.
        plan.partials = 1;
        dx.prepare(recorder, &plan, &numbers)
    }
}
