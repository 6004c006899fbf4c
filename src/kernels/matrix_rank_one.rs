//! Host half of `shaders/matrix_rank_one_rows.wgsl` and `shaders/matrix_rank_one_columns.wgsl`: a
//! gradient without its part along the product of two vectors, the last dispatch of a backward.

use super::io::Output;
use super::matrix::{Call, MatrixKernel, MatrixNumbers, MatrixState, binding};
use super::{body, lib};
use crate::Result;
use crate::gpu::{Prepared, Recorder, Tensor};
use crate::plan::matrix::{MatrixPlan, Side};

const BINDINGS: &[(u32, &str)] = &[
    (binding::VECTOR, "row_vector"),
    (binding::COLUMN_VECTOR, "column_vector"),
    (binding::DOTS, "partials"),
    (binding::SIGMA, "sigma"),
];

pub(super) static ROWS: MatrixKernel = MatrixKernel {
    name: "matrix_rank_one_rows",
    body: body!("matrix_rank_one_rows"),
    lib: lib!["workgroup", "matrix", "matrix_walk", "matrix_dot_sum"],
    reads: &[binding::DY],
    output: Output::Dx,
    spans: false,
    asks_fixed: false,
    bindings: BINDINGS,
};

pub(super) static COLUMNS: MatrixKernel = MatrixKernel {
    name: "matrix_rank_one_columns",
    body: body!("matrix_rank_one_columns"),
    lib: lib!["workgroup", "matrix", "matrix_tiles", "matrix_dot_sum"],
    spans: true,
    ..ROWS
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
        let kernel = match plan.better {
            Side::Rows => &ROWS,
            Side::Columns => &COLUMNS,
        };
        kernel.prepare(recorder, plan, &plan.product(plan.better), &call)
    }
}
