//! Host half of `shaders/finish_moments.wgsl`: saved and running statistics from a merged moment.

use super::channels::{Finish, prepare_finish};
use super::fold::Fold;
use super::{Flags, binding, body, lib, present};
use crate::Result;
use crate::gpu::{Prepared, Recorder, Tensor};
use crate::plan::Channels;

pub(super) static KERNEL: Fold = Fold {
    name: "finish_moments",
    body: body!("finish_moments"),
    lib: lib![
        "channels",
        "workgroup",
        "state",
        "flags",
        "running",
        "moments"
    ],
    flags: Flags::SAVE
        .and(Flags::UPDATE_RUNNING)
        .and(Flags::CUMULATIVE)
        .and(Flags::HAS_TRACKED)
        .and(Flags::NO_MEAN),
    bindings: &[
        (binding::OUTPUT, "moments"),
        (binding::STATE, "state"),
        (binding::RUNNING_MEAN, "running_mean"),
        (binding::RUNNING_VAR, "running_var"),
        (binding::TRACKED, "tracked"),
    ],
};

/// The tensors of the dispatches.
pub(crate) struct FinishMoments<'a> {
    pub(crate) moments: &'a Tensor,
    pub(crate) state: Option<&'a Tensor>,
    pub(crate) running_mean: Option<&'a Tensor>,
    pub(crate) running_var: Option<&'a Tensor>,
    pub(crate) tracked: Option<&'a Tensor>,
}

impl FinishMoments<'_> {
    pub(crate) fn prepare(
        &self,
        recorder: &Recorder<'_>,
        channels: &Channels,
        finish: &Finish,
    ) -> Result<Vec<Prepared>> {
        let tensors = present(&[
            (binding::OUTPUT, Some(self.moments)),
            (binding::STATE, self.state),
            (binding::RUNNING_MEAN, self.running_mean),
            (binding::RUNNING_VAR, self.running_var),
            (binding::TRACKED, self.tracked),
        ]);
        let prepare = |flags| {
            let finish = Finish { flags, ..*finish };
            prepare_finish(&KERNEL, recorder, channels, &finish, &tensors)
        };
        let flags = finish.flags;
        if !flags.has(Flags::CUMULATIVE) {
            return Ok(vec![prepare(flags)?]);
        }
        // All channels weigh by the count before one lane moves it.
        let moves = prepare(flags.without(Flags::HAS_TRACKED))?;
        Ok(vec![moves, prepare(flags.only(Flags::HAS_TRACKED))?])
    }
}
