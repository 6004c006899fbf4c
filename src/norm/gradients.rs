//! The dispatches of a backward, by who has a gain of its own.

use super::functional::Backward;
use super::numbers::backward_numbers;
use super::options::Statistics;
use super::planning::gain_plan;
use super::spec::Spec;
use crate::Result;
use crate::gpu::{Prepared, Recorder};
use crate::kernels::{
    Flags, Numbers, backward_dx::BackwardDx, backward_resident::BackwardResident,
    backward_sums::BackwardSums, fold_sums::FoldSums, gain_sums::GainSums,
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
        Gains::Slots => prepare_backward(recorder, tensors, spec, statistics, plan),
        Gains::Period(_) => prepare_shared_gains(recorder, tensors, spec, plan),
        _ => prepare_element_gains(recorder, tensors, spec, plan),
    }
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
