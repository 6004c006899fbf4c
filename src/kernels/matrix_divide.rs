//! Host half of `shaders/matrix_divide.wgsl`: a matrix divided by its product with two vectors, and the
//! vectors with norm 1.

use super::io::Output;
use super::matrix::{Call, MatrixKernel, MatrixNumbers, MatrixState, binding};
use super::{body, lib};
use crate::Result;
use crate::gpu::{Prepared, Recorder, Tensor};
use crate::plan::matrix::{MatrixPlan, Side};

pub(super) static KERNEL: MatrixKernel = MatrixKernel {
    name: "matrix_divide",
    body: body!("matrix_divide"),
    lib: lib!["workgroup", "matrix", "matrix_norm"],
    reads: &[binding::X],
    output: Output::Y,
    spans: false,
    asks_fixed: true,
    bindings: &[
        (binding::VECTOR, "row_vector"),
        (binding::COLUMN_VECTOR, "column_vector"),
        (binding::SUMS, "sums"),
        (binding::SIGMA, "sigma"),
        (binding::ROW_STATE, "row_state"),
        (binding::COLUMN_STATE, "column_state"),
    ],
};

/// The tensors of the dispatch.
pub(crate) struct MatrixDivide<'a> {
    pub(crate) x: &'a Tensor,
    pub(crate) y: &'a Tensor,
    pub(crate) state: &'a MatrixState,
    pub(crate) row_state: &'a Tensor,
    pub(crate) column_state: &'a Tensor,
    /// The vector that was made last, or whose product with a fixed one is sigma.
    pub(crate) last: Side,
    /// Whether the vectors stay as they are.
    pub(crate) fixed: bool,
    pub(crate) eps: f32,
}

impl MatrixDivide<'_> {
    pub(crate) fn prepare(&self, recorder: &Recorder<'_>, plan: &MatrixPlan) -> Result<Prepared> {
        let state = self.state;
        let call = Call {
            word: plan.flat_word,
            fixed: self.fixed,
            numbers: MatrixNumbers {
                columns_last: self.last == Side::Columns,
                eps: self.eps,
                ..MatrixNumbers::default()
            },
            activations: &[(binding::X, self.x), (binding::OUTPUT, self.y)],
            others: &[
                (binding::VECTOR, &state.row_vector),
                (binding::COLUMN_VECTOR, &state.column_vector),
                (binding::SUMS, &state.sums),
                (binding::SIGMA, &state.sigma),
                (binding::ROW_STATE, self.row_state),
                (binding::COLUMN_STATE, self.column_state),
            ],
        };
        KERNEL.prepare(recorder, plan, &plan.flat, &call)
    }
}
