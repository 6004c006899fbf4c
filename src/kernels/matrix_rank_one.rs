//! Host half of `shaders/matrix_rank_one.wgsl`: a gradient without its part along the product of two
//! vectors, the last dispatch of a backward.

use super::io::Output;
use super::matrix::{Call, MatrixKernel, MatrixNumbers, MatrixState, binding};
use super::{body, lib};
use crate::Result;
use crate::gpu::{Prepared, Recorder, Tensor};
use crate::plan::matrix::MatrixPlan;

pub(super) static KERNEL: MatrixKernel = MatrixKernel {
    name: "matrix_rank_one",
    body: body!("matrix_rank_one"),
    lib: lib!["workgroup", "matrix", "matrix_walk"],
    reads: &[binding::DY],
    output: Output::Dx,
    spans: false,
    asks_fixed: false,
    bindings: &[
        (binding::VECTOR, "row_vector"),
        (binding::COLUMN_VECTOR, "column_vector"),
        (binding::DOTS, "partials"),
        (binding::SIGMA, "sigma"),
    ],
};

/// The tensors of the dispatch.
pub(crate) struct MatrixRankOne<'a> {
    pub(crate) dy: &'a Tensor,
    pub(crate) dx: &'a Tensor,
    pub(crate) state: &'a MatrixState,
}

impl MatrixRankOne<'_> {
    pub(crate) fn prepare(&self, recorder: &Recorder<'_>, plan: &MatrixPlan) -> Result<Prepared> {
        let state = self.state;
        let call = Call {
            word: plan.word,
            fixed: false,
            numbers: MatrixNumbers {
                partials: plan.flat.slices,
                ..MatrixNumbers::default()
            },
            activations: &[(binding::DY, self.dy), (binding::OUTPUT, self.dx)],
            others: &[
                (binding::VECTOR, &state.row_vector),
                (binding::COLUMN_VECTOR, &state.column_vector),
                (binding::DOTS, &state.partials),
                (binding::SIGMA, &state.sigma),
            ],
        };
        KERNEL.prepare(recorder, plan, &plan.product_rows, &call)
    }
}
