//! Host half of `shaders/gain_sums_columns.wgsl`: partial sums of dy and dy * xhat down the columns of
//! rows that have the statistics.

use super::io::{Linked, Place, Tail};
use super::{Flags, Kernel, Numbers, Output, Places, Tensors, binding, body, lib, present};
use crate::Result;
use crate::gpu::{Prepared, Recorder, Tensor};
use crate::plan::{Plan, Walk};

pub(super) static KERNEL: Kernel = Kernel {
    name: "gain_sums_columns",
    body: body!("gain_sums_columns"),
    walks: &[Walk::Across],
    lib: lib![
        "columns",
        "workgroup",
        "state",
        "flags",
        "slots",
        "corrections",
        "centred",
        "merge_tree"
    ],
    flags: Flags::GROUPED
        .and(Flags::HAS_GAMMA)
        .and(Flags::HAS_BETA)
        .and(Flags::GATED)
        .and(Flags::CORRECTED)
        .and(Flags::FULL),
    reads_dy: true,
    output: Output::None,
    gains: Linked::Nothing,
    bindings: &[(binding::STATE, "state")],
};

/// The tensors of the dispatch.
pub(crate) struct GainSums<'a> {
    pub(crate) x: &'a Tensor,
    pub(crate) dy: &'a Tensor,
    pub(crate) state: &'a Tensor,
    /// Gamma and beta where gates are computed from x.
    pub(crate) recomputed: Option<[Option<&'a Tensor>; 2]>,
}

impl GainSums<'_> {
    pub(crate) fn prepare(
        &self,
        recorder: &Recorder<'_>,
        plan: &Plan,
        numbers: &Numbers,
    ) -> Result<Vec<Prepared>> {
        let [gamma, beta] = self.recomputed.unwrap_or_default();
        let others = present(&[
            (binding::STATE, Some(self.state)),
            (binding::GAMMA, gamma),
            (binding::BETA, beta),
        ]);
        let x = Place::of(self.x, None, &others);
        let dy = Place::of(self.dy, None, &others);
        let tensors = Tensors {
            activations: &[(binding::X, self.x), (binding::DY, self.dy)],
            others: &others,
        };
        let tail = Tail::of_backward(self.recomputed.is_some(), None);
        KERNEL.prepare(recorder, plan, numbers, Places { x, dy, tail }, tensors)
    }
}
