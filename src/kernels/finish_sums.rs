//! Host half of `shaders/finish_sums.wgsl`: dgamma, dbeta and the means for dx from merged sums.

use super::channels::{Finish, prepare_finish};
use super::fold::Fold;
use super::{Flags, binding, body, lib, present};
use crate::Result;
use crate::gpu::{Prepared, Recorder, Tensor};
use crate::plan::Channels;

pub(super) static KERNEL: Fold = Fold {
    name: "finish_sums",
    body: body!("finish_sums"),
    lib: lib!["channels", "workgroup", "state", "flags"],
    flags: Flags::WANT_DX
        .and(Flags::WANT_DGAMMA)
        .and(Flags::WANT_DBETA),
    bindings: &[
        (binding::OUTPUT, "sums"),
        (binding::STATE, "state"),
        (binding::DGAMMA, "dgamma"),
        (binding::DBETA, "dbeta"),
    ],
};

/// The tensors of the dispatch.
pub(crate) struct FinishSums<'a> {
    pub(crate) sums: &'a Tensor,
    pub(crate) state: &'a Tensor,
    pub(crate) dgamma: Option<&'a Tensor>,
    pub(crate) dbeta: Option<&'a Tensor>,
}

impl FinishSums<'_> {
    pub(crate) fn prepare(
        &self,
        recorder: &Recorder<'_>,
        channels: &Channels,
        flags: Flags,
    ) -> Result<Prepared> {
        let tensors = present(&[
            (binding::OUTPUT, Some(self.sums)),
            (binding::STATE, Some(self.state)),
            (binding::DGAMMA, self.dgamma),
            (binding::DBETA, self.dbeta),
        ]);
        let finish = Finish {
            flags,
            ..Finish::default()
        };
        prepare_finish(&KERNEL, recorder, channels, &finish, &tensors)
    }
}
