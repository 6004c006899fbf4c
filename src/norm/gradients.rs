//! The dispatches of a backward, by who has a gain of its own.

use super::functional::Backward;
use super::masked::Masked;
use super::numbers::{backward_numbers, is_gated, recomputes};
use super::options::{Activation, Statistics};
use super::planning::{gain_plan, gated_pass, plan};
use super::spec::Spec;
use crate::gpu::{Prepared, Recorder, Tensor};
use crate::kernels::{
    Flags, Numbers, backward_dx::BackwardDx, backward_resident, backward_sums::BackwardSums,
    fold_sums::FoldSums, gain_sums::GainSums,
};
use crate::plan::{Form, Gains, Pass, Plan, Strategy};
use crate::{Error, Result};

/// The pass of a backward: of nothing but what follows from dy where nothing is summed.
pub(super) fn backward_pass(spec: &Spec, tensors: &Backward<'_>, statistics: Statistics) -> Pass {
    if is_gated(spec, tensors.residual) {
        gated_pass(spec)
    } else if tensors.wants_parameters() || statistics == Statistics::Batch {
        Pass::Backward
    } else {
        Pass::Flat
    }
}

/// Whether lanes that want the gates go through other words than those that kept them: across the rows,
/// or where words straddle two slots, through a slot's words instead of those that it writes.
pub(super) fn asks_others(spec: &Spec, plan: &Plan, residual: bool) -> bool {
    let apart = plan.gains == Gains::Elements || plan.form == Form::Ragged;
    apart && is_gated(spec, residual)
}

/// What all dispatches of a backward have in common.
#[derive(Clone, Copy)]
pub(super) struct Step<'a> {
    pub(super) recorder: &'a Recorder<'a>,
    pub(super) spec: &'a Spec,
    pub(super) statistics: Statistics,
    /// Words of the state before its gates.
    pub(super) gates: u32,
    /// Where only some elements are valid.
    pub(super) masked: Option<&'a Masked>,
}

impl Step<'_> {
    /// Prepares them all.
    pub(super) fn prepare(&self, tensors: &Backward<'_>, plan: &Plan) -> Result<Vec<Prepared>> {
        if asks_others(self.spec, plan, tensors.residual) {
            return self.gated_first(tensors, plan);
        }
        match self.spec.reduction.gains {
            Gains::Slots => self.slots(tensors, plan, false),
            Gains::Period(_) => self.shared_gains(tensors, plan),
            _ => self.element_gains(tensors, plan),
        }
    }

    fn numbers(&self, tensors: &Backward<'_>) -> Numbers {
        self.numbers_by(tensors, self.statistics)
    }

    fn numbers_by(&self, tensors: &Backward<'_>, statistics: Statistics) -> Numbers {
        let numbers = backward_numbers(tensors, self.spec, statistics, self.gates);
        self.masked
            .map_or(numbers, |masked| masked.numbers(numbers))
    }

    /// What every slot has of its own, and its sums where they are to be left for a dispatch that
    /// follows.
    fn slots(
        &self,
        tensors: &Backward<'_>,
        plan: &Plan,
        leaves_sums: bool,
    ) -> Result<Vec<Prepared>> {
        let numbers = self.numbers(tensors);
        let last = self.last_of(tensors);
        let wants_parameters = tensors.wants_parameters();
        if plan.strategy == Strategy::Resident {
            return backward_resident::prepare(&last, self.recorder, plan, &numbers);
        }
        let mut dispatches = Vec::with_capacity(3);
        // The sums are the gradients of the parameters, and dx flows through them where the statistics
        // are those of x.
        let flows = tensors.dx.is_some() && self.statistics == Statistics::Batch;
        if leaves_sums || wants_parameters || flows {
            let has_gains = last.recomputes || plan.gains == Gains::Elements;
            let sums = BackwardSums {
                x: tensors.x,
                dy: tensors.dy,
                state: tensors.state,
                gamma: tensors.gamma.filter(|_| has_gains),
                beta: last.beta,
                recomputes: last.recomputes,
            };
            dispatches.extend(sums.prepare(self.recorder, plan, &numbers)?);
        }
        if wants_parameters || tensors.wants_words() {
            dispatches.extend(last.prepare(self.recorder, plan, &numbers)?);
        }
        Ok(dispatches)
    }

    /// Slots that share gains leave their sums to a dispatch that adds them up.
    fn shared_gains(&self, tensors: &Backward<'_>, plan: &Plan) -> Result<Vec<Prepared>> {
        let wants_parameters = tensors.wants_parameters();
        if !tensors.wants_words() && !wants_parameters {
            return Ok(Vec::new());
        }
        let slots = tensors.without_parameters();
        let mut dispatches = self.slots(&slots, plan, wants_parameters)?;
        if wants_parameters {
            dispatches.push(self.fold(tensors, plan)?);
        }
        Ok(dispatches)
    }

    /// Where every element of a row has its own gain, dx goes along the rows and the gradients of the
    /// gains across them: with dx where a workgroup holds whole rows, else in a pass of their own, which
    /// comes first, since dx may take the place of what it reads.
    fn element_gains(&self, tensors: &Backward<'_>, plan: &Plan) -> Result<Vec<Prepared>> {
        let rows = tensors.without_parameters();
        let wants_parameters = tensors.wants_parameters();
        if tensors.dx.is_some() && wants_parameters && plan.gain_shares().is_some() {
            let numbers = self.numbers(&rows);
            let along = Numbers {
                flags: numbers.flags | Flags::GAIN_SUMS,
                ..numbers
            };
            let last = self.last_of(&rows);
            let mut dispatches = backward_resident::prepare(&last, self.recorder, plan, &along)?;
            dispatches.push(self.fold(tensors, plan)?);
            return Ok(dispatches);
        }
        let mut dispatches = Vec::with_capacity(4);
        if wants_parameters {
            dispatches.extend(self.across(tensors)?);
        }
        if tensors.wants_words() {
            dispatches.extend(self.slots(&rows, plan, false)?);
        }
        Ok(dispatches)
    }

    /// The gradients of the gains of elements, in a pass across the rows.
    fn across(&self, tensors: &Backward<'_>) -> Result<Vec<Prepared>> {
        let Some(across) = gain_plan(self.recorder.device(), self.spec)? else {
            return Ok(Vec::new());
        };
        let recomputes = recomputes(self.spec, tensors.residual);
        let sums = GainSums {
            x: tensors.x,
            dy: tensors.dy,
            state: tensors.state,
            recomputed: recomputes.then_some([tensors.gamma, tensors.beta]),
        };
        let mut dispatches = sums.prepare(self.recorder, &across, &self.numbers(tensors))?;
        let gains = Backward {
            dgamma: tensors.dgamma,
            dbeta: tensors.dbeta,
            residual: true,
            ..Backward::new(tensors.x, tensors.dy, tensors.state)
        };
        let numbers = self.numbers(&gains);
        let last = self.last_of(&gains);
        dispatches.extend(last.prepare(self.recorder, &across, &numbers)?);
        Ok(dispatches)
    }

    /// First reduces dy to what passed the activation, which is the gradient by the residual and takes
    /// its place in all that follows.
    fn gated_first(&self, tensors: &Backward<'_>, gated: &Plan) -> Result<Vec<Prepared>> {
        // What follows reads it, and x; and a dispatch does not bind a place that it writes twice.
        let apart = |dx: &&Tensor| {
            let is_input = dx.same_place(tensors.x) || dx.same_place(tensors.dy);
            gated.gains != Gains::Elements && !is_input
        };
        let in_dx = tensors.dx.filter(apart);
        let Some(dresidual) = tensors.dresidual.or(in_dx) else {
            let reason = "other gradients are computed from it";
            return Err(Error::Missing {
                name: "dresidual",
                reason,
            });
        };
        let passes = Backward {
            residual: true,
            dresidual: Some(dresidual),
            ..Backward::new(tensors.x, tensors.dy, tensors.state)
        };
        // By running statistics nothing is summed for it.
        let numbers = self.numbers_by(&passes, Statistics::Running);
        let last = self.last_of(&passes);
        let mut dispatches = if gated.strategy == Strategy::Resident {
            backward_resident::prepare(&last, self.recorder, gated, &numbers)?
        } else {
            last.prepare(self.recorder, gated, &numbers)?
        };
        let plain = self.spec.clone().followed_by(Activation::None);
        let rest = Backward {
            dy: dresidual,
            dresidual: None,
            ..*tensors
        };
        let step = Step {
            spec: &plain,
            ..*self
        };
        if let Some(masked) = self.masked {
            dispatches.extend(step.prepare(&rest, &masked.plan)?);
            return Ok(dispatches);
        }
        let (device, shape) = (self.recorder.device(), tensors.x.shape());
        let pass = backward_pass(&plain, &rest, self.statistics);
        if let Some(plan) = plan(device, shape, &plain, pass)? {
            dispatches.extend(step.prepare(&rest, &plan)?);
        }
        Ok(dispatches)
    }

    /// The dispatch that adds up what was left for gains, by the plan that left it.
    fn fold(&self, tensors: &Backward<'_>, plan: &Plan) -> Result<Prepared> {
        let fold = FoldSums {
            state: tensors.state,
            dgamma: tensors.dgamma,
            dbeta: tensors.dbeta,
        };
        fold.prepare(self.recorder, plan, &self.numbers(tensors))
    }

    fn last_of<'a>(&self, tensors: &Backward<'a>) -> BackwardDx<'a> {
        let recomputes = recomputes(self.spec, tensors.residual);
        BackwardDx {
            x: tensors.x,
            dy: tensors.dy,
            state: tensors.state,
            gamma: tensors.gamma,
            beta: tensors.beta.filter(|_| recomputes),
            recomputes,
            dx: tensors.dx,
            dresidual: tensors.dresidual,
            dgamma: tensors.dgamma,
            dbeta: tensors.dbeta,
        }
    }
}
