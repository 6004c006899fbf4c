//! Host half of `shaders/backward_dx_rows.wgsl` and `shaders/backward_dx_columns.wgsl`: dx, dgamma
//! and dbeta, the last dispatch of every backward.

use super::io::{Linked, Place, Tail};
use super::{
    Flags, Kernel, Kernels, Numbers, Output, Places, Tensors, binding, body, lib, present,
};
use crate::Result;
use crate::gpu::{Prepared, Recorder, Tensor};
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
    .and(Flags::ONE_PARTIAL)
    .and(Flags::GROUPED)
    .and(Flags::NO_MEAN)
    .and(Flags::CORRECTED)
    .and(Flags::HAS_BETA)
    .and(Flags::GATED)
    .and(Flags::WANT_DRESIDUAL)
    .and(Flags::MASKED);

pub(super) static KERNELS: Kernels = Kernels {
    rows: Kernel {
        name: "backward_dx_rows",
        body: body!("backward_dx_rows"),
        walks: &[Walk::Rows],
        lib: lib![
            "rows",
            "workgroup",
            "state",
            "flags",
            "slots",
            "corrections",
            "centred",
            "flow",
            "partial_sums"
        ],
        flags: FLAGS,
        reads_dy: true,
        output: Output::Dx,
        gains: Linked::Gains,
        bindings: BINDINGS,
    },
    columns: Kernel {
        name: "backward_dx_columns",
        body: body!("backward_dx_columns"),
        walks: &[Walk::Columns, Walk::Across],
        lib: lib![
            "columns",
            "workgroup",
            "state",
            "flags",
            "slots",
            "corrections",
            "centred",
            "flow",
            "partial_sums",
            "merge_tree"
        ],
        flags: FLAGS.and(Flags::FULL),
        reads_dy: true,
        output: Output::Dx,
        gains: Linked::Gains,
        bindings: BINDINGS,
    },
};

/// The tensors of the dispatch, and of the one that does a whole backward.
pub(crate) struct BackwardDx<'a> {
    pub(crate) x: &'a Tensor,
    pub(crate) dy: &'a Tensor,
    pub(crate) state: &'a Tensor,
    pub(crate) gamma: Option<&'a Tensor>,
    pub(crate) beta: Option<&'a Tensor>,
    /// Whether gates are computed from x, by gamma and beta.
    pub(crate) recomputes: bool,
    pub(crate) dx: Option<&'a Tensor>,
    pub(crate) dresidual: Option<&'a Tensor>,
    pub(crate) dgamma: Option<&'a Tensor>,
    pub(crate) dbeta: Option<&'a Tensor>,
}

impl BackwardDx<'_> {
    pub(crate) fn prepare(
        &self,
        recorder: &Recorder<'_>,
        plan: &Plan,
        numbers: &Numbers,
    ) -> Result<Vec<Prepared>> {
        // Through running statistics dx does not depend on x, but a gate may.
        let reads_x = !numbers.flags.has(Flags::USE_RUNNING) || self.recomputes;
        self.prepare_with(&KERNELS, reads_x, recorder, plan, numbers)
    }

    pub(super) fn prepare_with(
        &self,
        kernels: &Kernels,
        reads_x: bool,
        recorder: &Recorder<'_>,
        plan: &Plan,
        numbers: &Numbers,
    ) -> Result<Vec<Prepared>> {
        let others = present(&[
            (binding::STATE, Some(self.state)),
            (binding::GAMMA, self.gamma),
            (binding::BETA, self.beta.filter(|_| self.recomputes)),
            (binding::DGAMMA, self.dgamma),
            (binding::DBETA, self.dbeta),
        ]);
        let written: Vec<_> = others
            .iter()
            .copied()
            .chain(self.dresidual.map(|t| (binding::RESIDUAL, t)))
            .collect();
        let x = if reads_x {
            Place::of(self.x, self.dx, &written)
        } else {
            Place::Absent
        };
        let dy = Place::of(self.dy, self.dx, &written);
        let activations = present(&[
            (binding::X, Some(self.x).filter(|_| x.is_bound())),
            (binding::DY, Some(self.dy).filter(|_| dy.is_bound())),
            (binding::OUTPUT, self.dx),
            (binding::RESIDUAL, self.dresidual),
        ]);
        let tensors = Tensors {
            activations: &activations,
            others: &others,
        };
        let tail = Tail::of_backward(self.recomputes, self.dresidual);
        kernels.prepare(recorder, plan, numbers, Places { x, dy, tail }, tensors)
    }
}
