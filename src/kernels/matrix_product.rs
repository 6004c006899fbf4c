//! Host half of `shaders/matrix_product_rows.wgsl` and `shaders/matrix_product_columns.wgsl`: partial
//! sums of the product of a matrix with a vector of norm 1.

use super::io::Output;
use super::matrix::{Call, MatrixKernel, MatrixNumbers, MatrixState, binding};
use super::{body, lib};
use crate::Result;
use crate::gpu::{Prepared, Recorder, Tensor};
use crate::plan::matrix::{MatrixPlan, Side};

pub(super) static ROWS: MatrixKernel = MatrixKernel {
    name: "matrix_product_rows",
    body: body!("matrix_product_rows"),
    lib: lib![
        "workgroup",
        "matrix",
        "matrix_norm",
        "matrix_factor",
        "matrix_walk"
    ],
    reads: &[binding::X],
    output: Output::None,
    spans: false,
    asks_fixed: false,
    bindings: &[
        (binding::VECTOR, "column_vector"),
        (binding::PARTIALS, "partials"),
        (binding::SUMS, "sums"),
    ],
};

pub(super) static COLUMNS: MatrixKernel = MatrixKernel {
    name: "matrix_product_columns",
    body: body!("matrix_product_columns"),
    lib: lib![
        "workgroup",
        "matrix",
        "matrix_norm",
        "matrix_factor",
        "matrix_tiles"
    ],
    reads: &[binding::X],
    output: Output::None,
    spans: true,
    asks_fixed: false,
    bindings: &[
        (binding::VECTOR, "row_vector"),
        (binding::PARTIALS, "partials"),
        (binding::SUMS, "sums"),
    ],
};

/// The tensors of the dispatch.
pub(crate) struct MatrixProduct<'a> {
    pub(crate) x: &'a Tensor,
    pub(crate) state: &'a MatrixState,
    /// The vector that the product gives.
    pub(crate) side: Side,
    /// The other vector where it has norm 1 already; otherwise it is the one that the state has of the
    /// last merge.
    pub(crate) factor: Option<&'a Tensor>,
    pub(crate) eps: f32,
}

impl MatrixProduct<'_> {
    pub(crate) fn prepare(&self, recorder: &Recorder<'_>, plan: &MatrixPlan) -> Result<Prepared> {
        let from = self.side.other();
        let sums = match self.factor {
            Some(_) => 0,
            None => plan.merge(from).slices,
        };
        let call = Call {
            word: plan.word,
            fixed: false,
            numbers: MatrixNumbers {
                partials: sums,
                eps: self.eps,
                ..MatrixNumbers::default()
            },
            activations: &[(binding::X, self.x)],
            others: &[
                (
                    binding::VECTOR,
                    self.factor.unwrap_or_else(|| self.state.vector(from)),
                ),
                (binding::PARTIALS, &self.state.partials),
                (binding::SUMS, self.state.sums(from)),
            ],
        };
        let kernel = match self.side {
            Side::Rows => &ROWS,
            Side::Columns => &COLUMNS,
        };
        kernel.prepare(recorder, plan, &plan.product(self.side), &call)
    }
}
