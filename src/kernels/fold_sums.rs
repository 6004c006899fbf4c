//! Host half of `shaders/fold_sums.wgsl`: dgamma and dbeta of gains that several slots share.

use super::fold::Fold;
use super::{Flags, Numbers, binding, body, lib, present};
use crate::Result;
use crate::gpu::{Prepared, Recorder, Tensor};
use crate::plan::Plan;

pub(super) static KERNEL: Fold = Fold {
    name: "fold_sums",
    body: body!("fold_sums"),
    lib: lib!["fold", "workgroup", "state", "flags"],
    flags: Flags::WANT_DGAMMA.and(Flags::WANT_DBETA),
    bindings: &[
        (binding::STATE, "state"),
        (binding::DGAMMA, "dgamma"),
        (binding::DBETA, "dbeta"),
    ],
};

/// The tensors of the dispatch.
pub(crate) struct FoldSums<'a> {
    pub(crate) state: &'a Tensor,
    pub(crate) dgamma: Option<&'a Tensor>,
    pub(crate) dbeta: Option<&'a Tensor>,
}

impl FoldSums<'_> {
    /// `plan` is the one whose partials these are.
    pub(crate) fn prepare(
        &self,
        recorder: &Recorder<'_>,
        plan: &Plan,
        numbers: &Numbers,
    ) -> Result<Prepared> {
        let tensors = present(&[
            (binding::STATE, Some(self.state)),
            (binding::DGAMMA, self.dgamma),
            (binding::DBETA, self.dbeta),
        ]);
        let gains = plan
            .gain_shares()
            .map_or(plan.gain_count(), |(_, inner)| inner);
        KERNEL.prepare(recorder, plan, numbers, gains, &tensors)
    }
}
