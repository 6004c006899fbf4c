//! The dispatches of a backward, by who has a gain of its own.

use super::functional::Backward;
use super::numbers::backward_numbers;
use super::options::Statistics;
use super::planning::gain_plan;
use super::spec::Spec;
use crate::Result;
use crate::gpu::{Prepared, Recorder};
use crate::kernels::{
    Flags, Numbers, backward_dx::BackwardDx, backward_resident, backward_sums::BackwardSums,
    fold_sums::FoldSums, gain_sums::GainSums,
};
use crate::plan::{Gains, Plan, Strategy};

/// Prepares them all.
pub(super) fn prepare(
    recorder: &Recorder<'_>,
    tensors: &Backward<'_>,
    spec: &Spec,
    statistics: Statistics,
    plan: &Plan,
) -> Result<Vec<Prepared>> {
    match spec.reduction.gains {
        Gains::Slots => prepare_slots(recorder, tensors, spec, statistics, plan, false),
        Gains::Period(_) => prepare_shared_gains(recorder, tensors, spec, plan),
        _ => prepare_element_gains(recorder, tensors, spec, plan),
    }
}

/// What every slot has of its own, and its sums where they are to be left for a dispatch that follows.
fn prepare_slots(
    recorder: &Recorder<'_>,
    tensors: &Backward<'_>,
    spec: &Spec,
    statistics: Statistics,
    plan: &Plan,
    leaves_sums: bool,
) -> Result<Vec<Prepared>> {
    let numbers = backward_numbers(tensors, spec, statistics);
    let last = last_of(tensors);
    if plan.strategy == Strategy::Resident {
        return backward_resident::prepare(&last, recorder, plan, &numbers);
    }
    let mut dispatches = Vec::with_capacity(3);
    let wants_parameters = tensors.wants_parameters();
    // The sums are the gradients of the parameters, and dx flows through them where the statistics
    // are those of x.
    let flows = tensors.dx.is_some() && statistics == Statistics::Batch;
    if leaves_sums || wants_parameters || flows {
        let sums = BackwardSums {
            x: tensors.x,
            dy: tensors.dy,
            state: tensors.state,
            gamma: tensors.gamma.filter(|_| plan.gains == Gains::Elements),
        };
        dispatches.extend(sums.prepare(recorder, plan, &numbers)?);
    }
    if wants_parameters || tensors.dx.is_some() {
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
    let wants_parameters = tensors.wants_parameters();
    if tensors.dx.is_none() && !wants_parameters {
        return Ok(Vec::new());
    }
    let slots = tensors.without_parameters();
    let statistics = Statistics::Batch;
    let mut dispatches = prepare_slots(recorder, &slots, spec, statistics, plan, wants_parameters)?;
    if wants_parameters {
        dispatches.push(fold(recorder, tensors, spec, plan)?);
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
    let rows = tensors.without_parameters();
    let statistics = Statistics::Batch;
    let wants_parameters = tensors.wants_parameters();
    if tensors.dx.is_some() && wants_parameters && plan.gain_shares().is_some() {
        let numbers = backward_numbers(&rows, spec, statistics);
        let along = Numbers {
            flags: numbers.flags | Flags::GAIN_SUMS,
            ..numbers
        };
        let mut dispatches = backward_resident::prepare(&last_of(&rows), recorder, plan, &along)?;
        dispatches.push(fold(recorder, tensors, spec, plan)?);
        return Ok(dispatches);
    }
    let mut dispatches = Vec::with_capacity(4);
    if tensors.dx.is_some() {
        dispatches = prepare_slots(recorder, &rows, spec, statistics, plan, false)?;
    }
    if !wants_parameters {
        return Ok(dispatches);
    }
    if let Some(across) = gain_plan(recorder.device(), spec)? {
        let gains = Backward {
            gamma: None,
            dx: None,
            ..*tensors
        };
        let numbers = backward_numbers(&gains, spec, statistics);
        let sums = GainSums {
            x: tensors.x,
            dy: tensors.dy,
            state: tensors.state,
        };
        dispatches.extend(sums.prepare(recorder, &across, &numbers)?);
        dispatches.extend(last_of(&gains).prepare(recorder, &across, &numbers)?);
    }
    Ok(dispatches)
}

/// The dispatch that adds up what was left for gains, by the plan that left it.
fn fold(
    recorder: &Recorder<'_>,
    tensors: &Backward<'_>,
    spec: &Spec,
    plan: &Plan,
) -> Result<Prepared> {
    let fold = FoldSums {
        state: tensors.state,
        dgamma: tensors.dgamma,
        dbeta: tensors.dbeta,
    };
    let numbers = backward_numbers(tensors, spec, Statistics::Batch);
    fold.prepare(recorder, plan, &numbers)
}

fn last_of<'a>(tensors: &Backward<'a>) -> BackwardDx<'a> {
    let Backward {
        x,
        dy,
        state,
        gamma,
        dx,
        dgamma,
        dbeta,
    } = *tensors;
    BackwardDx {
        x,
        dy,
        state,
        gamma,
        dx,
        dgamma,
        dbeta,
    }
}
