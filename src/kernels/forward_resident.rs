//! Host half of `shaders/forward_resident_rows.wgsl` and `shaders/forward_resident_columns.wgsl`: a
//! whole training forward in one dispatch.

use super::io::{Linked, Place};
use super::{Flags, Kernel, Kernels, Numbers, Output, Tensors, binding, body, lib, present};
use crate::Result;
use crate::gpu::{Prepared, Recorder, Tensor};
use crate::plan::Plan;

const BINDINGS: &[(u32, &str)] = &[
    (binding::STATE, "state"),
    (binding::RUNNING_MEAN, "running_mean"),
    (binding::RUNNING_VAR, "running_var"),
    (binding::TRACKED, "tracked"),
];

const FLAGS: Flags = Flags::HAS_GAMMA
    .and(Flags::HAS_BETA)
    .and(Flags::USE_RUNNING)
    .and(Flags::UPDATE_RUNNING)
    .and(Flags::HAS_TRACKED)
    .and(Flags::GROUPED)
    .and(Flags::NO_MEAN)
    .and(Flags::CORRECTED);

pub(super) static KERNELS: Kernels = Kernels {
    rows: Kernel {
        name: "forward_resident_rows",
        body: body!("forward_resident_rows"),
        lib: lib![
            "rows",
            "rows_held",
            "workgroup",
            "state",
            "flags",
            "slots",
            "running",
            "corrections",
            "moments",
            "statistics"
        ],
        flags: FLAGS.and(Flags::ONE_ROW),
        reads_dy: false,
        output: Output::Y,
        gains: Linked::GainsAndOffsets,
        bindings: BINDINGS,
    },
    columns: Kernel {
        name: "forward_resident_columns",
        body: body!("forward_resident_columns"),
        lib: lib![
            "columns",
            "columns_pivot",
            "workgroup",
            "state",
            "flags",
            "slots",
            "running",
            "corrections",
            "moments",
            "statistics",
            "merge_tree",
        ],
        flags: FLAGS,
        reads_dy: false,
        output: Output::Y,
        gains: Linked::GainsAndOffsets,
        bindings: BINDINGS,
    },
};

/// The tensors of the dispatch.
pub(crate) struct ForwardResident<'a> {
    pub(crate) x: &'a Tensor,
    pub(crate) y: &'a Tensor,
    pub(crate) state: &'a Tensor,
    pub(crate) gamma: Option<&'a Tensor>,
    pub(crate) beta: Option<&'a Tensor>,
    pub(crate) running_mean: Option<&'a Tensor>,
    pub(crate) running_var: Option<&'a Tensor>,
    pub(crate) tracked: Option<&'a Tensor>,
}

impl ForwardResident<'_> {
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
            (binding::RUNNING_MEAN, self.running_mean),
            (binding::RUNNING_VAR, self.running_var),
            (binding::TRACKED, self.tracked),
        ]);
        let x = Place::of(self.x, Some(self.y), &others);
        let activations = present(&[
            (binding::X, Some(self.x).filter(|_| x.is_bound())),
            (binding::OUTPUT, Some(self.y)),
        ]);
        let tensors = Tensors {
            activations: &activations,
            others: &others,
        };
        KERNELS.prepare(recorder, plan, numbers, [x, Place::Absent], tensors)
    }
}
