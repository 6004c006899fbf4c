//! Host half of `shaders/backward_resident_rows.wgsl` and `shaders/backward_resident_columns.wgsl`: a
//! whole backward in one dispatch.

use super::backward_dx::BackwardDx;
use super::io::Linked;
use super::{Flags, Kernel, Kernels, Numbers, Output, binding, body, lib};
use crate::Result;
use crate::gpu::{Prepared, Recorder};
use crate::plan::{Plan, Walk};

const BINDINGS: &[(u32, &str)] = &[
    (binding::STATE, "state"),
    (binding::DGAMMA, "dgamma"),
    (binding::DBETA, "dbeta"),
];

const FLAGS: Flags = Flags::HAS_GAMMA
    .and(Flags::USE_RUNNING)
    .and(Flags::WANT_DX)
    .and(Flags::WANT_DGAMMA)
    .and(Flags::WANT_DBETA)
    .and(Flags::GROUPED)
    .and(Flags::NO_MEAN)
    .and(Flags::CORRECTED)
    .and(Flags::HAS_BETA)
    .and(Flags::GATED)
    .and(Flags::WANT_DRESIDUAL);

pub(super) static KERNELS: Kernels = Kernels {
    rows: Kernel {
        name: "backward_resident_rows",
        body: body!("backward_resident_rows"),
        walks: &[Walk::HeldRows],
        lib: lib![
            "rows",
            "rows_held",
            "held",
            "gain_sums_held",
            "workgroup",
            "state",
            "flags",
            "slots",
            "corrections",
            "centred",
            "flow"
        ],
        flags: FLAGS
            .and(Flags::ONE_ROW)
            .and(Flags::FULL)
            .and(Flags::GAIN_SUMS),
        reads_dy: true,
        output: Output::Dx,
        gains: Linked::Gains,
        bindings: BINDINGS,
    },
    columns: Kernel {
        name: "backward_resident_columns",
        body: body!("backward_resident_columns"),
        walks: &[Walk::HeldColumns],
        lib: lib![
            "columns",
            "columns_held",
            "held",
            "workgroup",
            "state",
            "flags",
            "slots",
            "corrections",
            "centred",
            "flow",
            "merge_tree"
        ],
        flags: FLAGS.and(Flags::FULL),
        reads_dy: true,
        output: Output::Dx,
        gains: Linked::Gains,
        bindings: BINDINGS,
    },
};

/// Prepares the dispatch, which reads x whatever the statistics.
pub(crate) fn prepare(
    tensors: &BackwardDx<'_>,
    recorder: &Recorder<'_>,
    plan: &Plan,
    numbers: &Numbers,
) -> Result<Vec<Prepared>> {
    tensors.prepare_with(&KERNELS, true, recorder, plan, numbers)
}
