//! Host half of `shaders/forward_resident_rows.wgsl` and `shaders/forward_resident_columns.wgsl`: a
//! whole training forward in one dispatch.

use super::io::Linked;
use super::normalize::Normalize;
use super::{Flags, Kernel, Kernels, Numbers, Output, binding, body, lib};
use crate::Result;
use crate::gpu::{Prepared, Recorder, Tensor};
use crate::plan::{Plan, Walk};

const BINDINGS: &[(u32, &str)] = &[
    (binding::STATE, "state"),
    (binding::RUNNING_MEAN, "running_mean"),
    (binding::RUNNING_VAR, "running_var"),
];

const FLAGS: Flags = Flags::HAS_GAMMA
    .and(Flags::HAS_BETA)
    .and(Flags::USE_RUNNING)
    .and(Flags::UPDATE_RUNNING)
    .and(Flags::HAS_TRACKED)
    .and(Flags::GROUPED)
    .and(Flags::NO_MEAN)
    .and(Flags::CORRECTED)
    .and(Flags::RELU)
    .and(Flags::GATED);

pub(super) static KERNELS: Kernels = Kernels {
    rows: Kernel {
        name: "forward_resident_rows",
        body: body!("forward_resident_rows"),
        walks: &[Walk::HeldRows],
        lib: lib![
            "rows",
            "rows_held",
            "held",
            "held_pivot",
            "workgroup",
            "state",
            "flags",
            "slots",
            "running",
            "corrections",
            "centred",
            "moments",
            "statistics",
            "gates_index",
            "tail"
        ],
        flags: FLAGS.and(Flags::ONE_ROW).and(Flags::FULL),
        reads_dy: false,
        output: Output::Y,
        gains: Linked::GainsAndOffsets,
        bindings: BINDINGS,
    },
    columns: Kernel {
        name: "forward_resident_columns",
        body: body!("forward_resident_columns"),
        walks: &[Walk::HeldColumns],
        lib: lib![
            "columns",
            "columns_held",
            "held",
            "held_pivot",
            "workgroup",
            "state",
            "flags",
            "slots",
            "running",
            "corrections",
            "centred",
            "moments",
            "statistics",
            "gates_index",
            "tail",
            "merge_tree",
        ],
        flags: FLAGS.and(Flags::FULL),
        reads_dy: false,
        output: Output::Y,
        gains: Linked::GainsAndOffsets,
        bindings: BINDINGS,
    },
};

/// Prepares the dispatch, which also counts the batch unless it adds a residual: then there is no
/// binding left for that.
pub(crate) fn prepare(
    tensors: &Normalize<'_>,
    tracked: Option<&Tensor>,
    recorder: &Recorder<'_>,
    plan: &Plan,
    numbers: &Numbers,
) -> Result<Vec<Prepared>> {
    tensors.prepare_with(&KERNELS, tracked, recorder, plan, numbers)
}
