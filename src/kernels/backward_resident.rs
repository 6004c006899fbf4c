//! Host half of `shaders/backward_resident_rows.wgsl` and `shaders/backward_resident_columns.wgsl`: a
//! whole backward in one dispatch.

use super::io::{Linked, Place};
use super::{Flags, Kernel, Kernels, Numbers, Output, Tensors, binding, body, lib, present};
use crate::Result;
use crate::gpu::{Prepared, Recorder, Tensor};
use crate::plan::Plan;

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
    .and(Flags::CORRECTED);

pub(super) static KERNELS: Kernels = Kernels {
    rows: Kernel {
        name: "backward_resident_rows",
        body: body!("backward_resident_rows"),
        lib: lib![
            "rows",
            "rows_held",
            "gain_sums_held",
            "workgroup",
            "state",
            "flags",
            "slots",
            "corrections"
        ],
        flags: FLAGS.and(Flags::ONE_ROW).and(Flags::GAIN_SUMS),
        reads_dy: true,
        output: Output::Dx,
        gains: Linked::Gains,
        bindings: BINDINGS,
    },
    columns: Kernel {
        name: "backward_resident_columns",
        body: body!("backward_resident_columns"),
        lib: lib![
            "columns",
            "workgroup",
            "state",
            "flags",
            "slots",
            "corrections",
            "merge_tree"
        ],
        flags: FLAGS,
        reads_dy: true,
        output: Output::Dx,
        gains: Linked::Gains,
        bindings: BINDINGS,
    },
};

/// The tensors of the dispatch.
pub(crate) struct BackwardResident<'a> {
    pub(crate) x: &'a Tensor,
    pub(crate) dy: &'a Tensor,
    pub(crate) state: &'a Tensor,
    pub(crate) gamma: Option<&'a Tensor>,
    pub(crate) dx: Option<&'a Tensor>,
    pub(crate) dgamma: Option<&'a Tensor>,
    pub(crate) dbeta: Option<&'a Tensor>,
}

impl BackwardResident<'_> {
    pub(crate) fn prepare(
        &self,
        recorder: &Recorder<'_>,
        plan: &Plan,
        numbers: &Numbers,
    ) -> Result<Vec<Prepared>> {
        let others = present(&[
            (binding::STATE, Some(self.state)),
            (binding::GAMMA, self.gamma),
            (binding::DGAMMA, self.dgamma),
            (binding::DBETA, self.dbeta),
        ]);
        let x = Place::of(self.x, self.dx, &others);
        let dy = Place::of(self.dy, self.dx, &others);
        let activations = present(&[
            (binding::X, Some(self.x).filter(|_| x.is_bound())),
            (binding::DY, Some(self.dy).filter(|_| dy.is_bound())),
            (binding::OUTPUT, self.dx),
        ]);
        let tensors = Tensors {
            activations: &activations,
            others: &others,
        };
        KERNELS.prepare(recorder, plan, numbers, [x, dy], tensors)
    }
}
