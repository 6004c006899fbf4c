//! Host half of `shaders/backward_sums_rows.wgsl` and `shaders/backward_sums_columns.wgsl`:
//! partial sums of dy and dy * xhat, the first dispatch of a backward.

use super::io::{Linked, Place};
use super::{Flags, Kernel, Kernels, Numbers, Output, Tensors, binding, body, lib, present};
use crate::Result;
use crate::gpu::{Prepared, Recorder, Tensor};
use crate::plan::Plan;

const BINDINGS: &[(u32, &str)] = &[(binding::STATE, "state")];

const FLAGS: Flags = Flags::GROUPED;

pub(super) static KERNELS: Kernels = Kernels {
    rows: Kernel {
        name: "backward_sums_rows",
        body: body!("backward_sums_rows"),
        lib: lib!["rows", "workgroup", "state", "flags", "slots"],
        flags: FLAGS.and(Flags::HAS_GAMMA),
        reads_dy: true,
        output: Output::None,
        gains: Linked::ElementGains,
        bindings: BINDINGS,
    },
    columns: Kernel {
        name: "backward_sums_columns",
        body: body!("backward_sums_columns"),
        lib: lib![
            "columns",
            "workgroup",
            "state",
            "flags",
            "slots",
            "merge_tree"
        ],
        flags: FLAGS,
        reads_dy: true,
        output: Output::None,
        gains: Linked::Nothing,
        bindings: BINDINGS,
    },
};

/// The tensors of the dispatch.
pub(crate) struct BackwardSums<'a> {
    pub(crate) x: &'a Tensor,
    pub(crate) dy: &'a Tensor,
    pub(crate) state: &'a Tensor,
    /// Where each element of a slot has a gain of its own.
    pub(crate) gamma: Option<&'a Tensor>,
}

impl BackwardSums<'_> {
    pub(crate) fn prepare(
        &self,
        recorder: &Recorder<'_>,
        plan: &Plan,
        numbers: &Numbers,
    ) -> Result<Vec<Prepared>> {
        let others = present(&[
            (binding::STATE, Some(self.state)),
            (binding::GAMMA, self.gamma),
        ]);
        let x = Place::of(self.x, None, &others);
        let dy = Place::of(self.dy, None, &others);
        let tensors = Tensors {
            activations: &[(binding::X, self.x), (binding::DY, self.dy)],
            others: &others,
        };
        KERNELS.prepare(recorder, plan, numbers, [x, dy], tensors)
    }
}
