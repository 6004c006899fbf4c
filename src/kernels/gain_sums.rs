//! Host half of `shaders/gain_sums_columns.wgsl`: partial sums of dy and dy * xhat down the columns of
//! rows that have the statistics.

use super::io::{Linked, Place};
use super::{Flags, Kernel, Numbers, Output, Tensors, binding, body, lib};
use crate::Result;
use crate::gpu::{Prepared, Recorder, Tensor};
use crate::plan::Plan;

pub(super) static KERNEL: Kernel = Kernel {
    name: "gain_sums_columns",
    body: body!("gain_sums_columns"),
    lib: lib![
        "columns",
        "workgroup",
        "state",
        "flags",
        "slots",
        "merge_tree"
    ],
    flags: Flags::GROUPED,
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
}

impl GainSums<'_> {
    pub(crate) fn prepare(
        &self,
        recorder: &Recorder<'_>,
        plan: &Plan,
        numbers: &Numbers,
    ) -> Result<Vec<Prepared>> {
        let others = [(binding::STATE, self.state)];
        let x = Place::of(self.x, None, &others);
        let dy = Place::of(self.dy, None, &others);
        let tensors = Tensors {
            activations: &[(binding::X, self.x), (binding::DY, self.dy)],
            others: &others,
        };
        KERNEL.prepare(recorder, plan, numbers, [x, dy], tensors)
    }
}
