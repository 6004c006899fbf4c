//! Host half of `shaders/backward_sums_rows.wgsl` and `shaders/backward_sums_columns.wgsl`:
//! partial sums of dy and dy * xhat, the first dispatch of a backward.

use super::io::{Linked, Place, Tail};
use super::{
    Flags, Kernel, Kernels, Numbers, Output, Places, Tensors, binding, body, lib, present,
};
use crate::Result;
use crate::gpu::{Prepared, Recorder, Tensor};
use crate::plan::{Plan, Walk};

const BINDINGS: &[(u32, &str)] = &[(binding::STATE, "state")];

const FLAGS: Flags = Flags::GROUPED
    .and(Flags::HAS_GAMMA)
    .and(Flags::HAS_BETA)
    .and(Flags::GATED)
    .and(Flags::CORRECTED)
    .and(Flags::MASKED);

pub(super) static KERNELS: Kernels = Kernels {
    rows: Kernel {
        name: "backward_sums_rows",
        body: body!("backward_sums_rows"),
        walks: &[Walk::Rows],
        lib: lib![
            "rows",
            "workgroup",
            "state",
            "flags",
            "slots",
            "corrections",
            "centred"
        ],
        flags: FLAGS,
        reads_dy: true,
        output: Output::None,
        gains: Linked::ElementGains,
        bindings: BINDINGS,
    },
    columns: Kernel {
        name: "backward_sums_columns",
        body: body!("backward_sums_columns"),
        walks: &[Walk::Columns],
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
        flags: FLAGS.and(Flags::FULL),
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
    /// Where each element of a slot has a gain of its own, or gates are computed from x.
    pub(crate) gamma: Option<&'a Tensor>,
    /// Where gates are computed from x.
    pub(crate) beta: Option<&'a Tensor>,
    pub(crate) recomputes: bool,
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
            (binding::BETA, self.beta),
        ]);
        let x = Place::of(self.x, None, &others);
        let dy = Place::of(self.dy, None, &others);
        let tensors = Tensors {
            activations: &[(binding::X, self.x), (binding::DY, self.dy)],
            others: &others,
        };
        let tail = Tail::of_backward(self.recomputes, None);
        KERNELS.prepare(recorder, plan, numbers, Places { x, dy, tail }, tensors)
    }
}
