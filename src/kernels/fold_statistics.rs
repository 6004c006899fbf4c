//! Host half of `shaders/fold_statistics.wgsl`: running statistics that follow the average over the
//! samples.

use super::fold::Fold;
use super::{Flags, Numbers, binding, body, lib, present};
use crate::Result;
use crate::gpu::{Prepared, Recorder, Tensor};
use crate::plan::Plan;

pub(super) static KERNEL: Fold = Fold {
    name: "fold_statistics",
    body: body!("fold_statistics"),
    lib: lib!["fold", "workgroup", "state", "flags", "running"],
    flags: Flags::UPDATE_RUNNING
        .and(Flags::CUMULATIVE)
        .and(Flags::HAS_TRACKED),
    bindings: &[
        (binding::STATE, "state"),
        (binding::RUNNING_MEAN, "running_mean"),
        (binding::RUNNING_VAR, "running_var"),
        (binding::TRACKED, "tracked"),
    ],
};

/// The tensors of the dispatches.
pub(crate) struct FoldStatistics<'a> {
    pub(crate) state: &'a Tensor,
    pub(crate) running_mean: &'a Tensor,
    pub(crate) running_var: &'a Tensor,
    pub(crate) tracked: Option<&'a Tensor>,
}

impl FoldStatistics<'_> {
    /// `plan` is the one whose slots have left their statistics.
    pub(crate) fn prepare(
        &self,
        recorder: &Recorder<'_>,
        plan: &Plan,
        numbers: &Numbers,
    ) -> Result<Vec<Prepared>> {
        let tensors = present(&[
            (binding::STATE, Some(self.state)),
            (binding::RUNNING_MEAN, Some(self.running_mean)),
            (binding::RUNNING_VAR, Some(self.running_var)),
            (binding::TRACKED, self.tracked),
        ]);
        let prepare = |flags, groups| {
            let numbers = Numbers { flags, ..*numbers };
            KERNEL.prepare(recorder, plan, &numbers, groups, &tensors)
        };
        let channels = if numbers.flags.has(Flags::UPDATE_RUNNING) {
            plan.gain_count()
        } else {
            1
        };
        if !numbers.flags.has(Flags::CUMULATIVE) {
            return Ok(vec![prepare(numbers.flags, channels)?]);
        }
        // All channels weigh by the count before one workgroup moves it.
        let moves = numbers.flags.without(Flags::HAS_TRACKED);
        Ok(vec![
            prepare(moves, channels)?,
            prepare(numbers.flags.only(Flags::HAS_TRACKED), 1)?,
        ])
    }
}
