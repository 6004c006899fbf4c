//! Host half of `shaders/normalize_rows.wgsl` and `shaders/normalize_columns.wgsl`: y, the saved
//! statistics and the running update; the last dispatch of every forward.

use super::io::{Linked, Place, Tail};
use super::{
    Flags, Kernel, Kernels, Numbers, Output, Places, Tensors, binding, body, lib, present,
};
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
    .and(Flags::CUMULATIVE)
    .and(Flags::SAVE)
    .and(Flags::SAVED)
    .and(Flags::GROUPED)
    .and(Flags::NO_MEAN)
    .and(Flags::CORRECTED)
    .and(Flags::ONE_PARTIAL)
    .and(Flags::RELU)
    .and(Flags::GATED)
    .and(Flags::MASKED);

pub(super) static KERNELS: Kernels = Kernels {
    rows: Kernel {
        name: "normalize_rows",
        body: body!("normalize_rows"),
        walks: &[Walk::Rows],
        lib: lib![
            "rows",
            "workgroup",
            "state",
            "flags",
            "slots",
            "running",
            "corrections",
            "centred",
            "moments",
            "partial_moments",
            "statistics",
            "gates_index",
            "tail"
        ],
        flags: FLAGS,
        reads_dy: false,
        output: Output::Y,
        gains: Linked::GainsAndOffsets,
        bindings: BINDINGS,
    },
    columns: Kernel {
        name: "normalize_columns",
        body: body!("normalize_columns"),
        walks: &[Walk::Columns],
        lib: lib![
            "columns",
            "workgroup",
            "state",
            "flags",
            "slots",
            "running",
            "corrections",
            "centred",
            "moments",
            "partial_moments",
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

/// The tensors of the dispatch, and of the one that does a whole forward.
pub(crate) struct Normalize<'a> {
    pub(crate) x: &'a Tensor,
    pub(crate) y: &'a Tensor,
    pub(crate) residual: Option<&'a Tensor>,
    pub(crate) state: Option<&'a Tensor>,
    pub(crate) gamma: Option<&'a Tensor>,
    pub(crate) beta: Option<&'a Tensor>,
    pub(crate) running_mean: Option<&'a Tensor>,
    pub(crate) running_var: Option<&'a Tensor>,
}

impl Normalize<'_> {
    pub(crate) fn prepare(
        &self,
        recorder: &Recorder<'_>,
        plan: &Plan,
        numbers: &Numbers,
    ) -> Result<Vec<Prepared>> {
        self.prepare_with(&KERNELS, None, recorder, plan, numbers)
    }

    /// Prepares another step with the same tensors, which may also count the batch.
    pub(super) fn prepare_with(
        &self,
        kernels: &Kernels,
        tracked: Option<&Tensor>,
        recorder: &Recorder<'_>,
        plan: &Plan,
        numbers: &Numbers,
    ) -> Result<Vec<Prepared>> {
        let others = present(&[
            (binding::STATE, self.state),
            (binding::GAMMA, self.gamma),
            (binding::BETA, self.beta),
            (binding::RUNNING_MEAN, self.running_mean),
            (binding::RUNNING_VAR, self.running_var),
            (binding::TRACKED, tracked),
        ]);
        let x = Place::of(self.x, Some(self.y), &others);
        let tail = Tail::of_forward(self.residual, [self.x, self.y], &others);
        let activations = present(&[
            (binding::X, Some(self.x).filter(|_| x.is_bound())),
            (binding::OUTPUT, Some(self.y)),
            (binding::RESIDUAL, self.residual.filter(|_| tail.is_bound())),
        ]);
        let tensors = Tensors {
            activations: &activations,
            others: &others,
        };
        let places = Places {
            x,
            dy: Place::Absent,
            tail,
        };
        kernels.prepare(recorder, plan, numbers, places, tensors)
    }
}
