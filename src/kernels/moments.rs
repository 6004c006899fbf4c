//! Host half of `shaders/moments_rows.wgsl` and `shaders/moments_columns.wgsl`: partial moments,
//! the first dispatch of a forward with batch statistics.

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
    (binding::TRACKED, "tracked"),
];

const FLAGS: Flags = Flags::USE_RUNNING
    .and(Flags::HAS_TRACKED)
    .and(Flags::NO_MEAN)
    .and(Flags::CORRECTED)
    .and(Flags::MASKED);

pub(super) static KERNELS: Kernels = Kernels {
    rows: Kernel {
        name: "moments_rows",
        body: body!("moments_rows"),
        walks: &[Walk::Rows],
        lib: lib![
            "rows",
            "rows_pivot",
            "mask_samples",
            "workgroup",
            "state",
            "flags",
            "slots",
            "running",
            "corrections",
            "moments",
            "statistics"
        ],
        flags: FLAGS.and(Flags::ONE_PARTIAL),
        reads_dy: false,
        output: Output::None,
        gains: Linked::Nothing,
        bindings: BINDINGS,
    },
    columns: Kernel {
        name: "moments_columns",
        body: body!("moments_columns"),
        walks: &[Walk::Columns],
        lib: lib![
            "columns",
            "columns_pivot",
            "mask_samples",
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
        flags: FLAGS.and(Flags::FULL),
        reads_dy: false,
        output: Output::None,
        gains: Linked::Nothing,
        bindings: BINDINGS,
    },
};

/// The tensors of the dispatch.
pub(crate) struct Moments<'a> {
    pub(crate) x: &'a Tensor,
    pub(crate) state: &'a Tensor,
    pub(crate) running_mean: Option<&'a Tensor>,
    pub(crate) running_var: Option<&'a Tensor>,
    pub(crate) tracked: Option<&'a Tensor>,
}

impl Moments<'_> {
    pub(crate) fn prepare(
        &self,
        recorder: &Recorder<'_>,
        plan: &Plan,
        numbers: &Numbers,
    ) -> Result<Vec<Prepared>> {
        let others = present(&[
            (binding::STATE, Some(self.state)),
            (binding::RUNNING_MEAN, self.running_mean),
            (binding::RUNNING_VAR, self.running_var),
            (binding::TRACKED, self.tracked),
        ]);
        let x = Place::of(self.x, None, &others);
        let tensors = Tensors {
            activations: &[(binding::X, self.x)],
            others: &others,
        };
        let places = Places {
            x,
            dy: Place::Absent,
            tail: Tail::Plain,
        };
        KERNELS.prepare(recorder, plan, numbers, places, tensors)
    }
}
