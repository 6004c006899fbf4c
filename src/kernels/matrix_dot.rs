//! Host half of `shaders/matrix_dot.wgsl`: partial sums of x * dy, the first dispatch of a gradient.

use super::io::Output;
use super::matrix::{Call, MatrixKernel, MatrixNumbers, MatrixState, binding};
use super::{body, lib};
use crate::Result;
use crate::gpu::{Prepared, Recorder, Tensor};
use crate::plan::matrix::MatrixPlan;

pub(super) static KERNEL: MatrixKernel = MatrixKernel {
    name: "matrix_dot",
    body: body!("matrix_dot"),
    lib: lib!["workgroup", "matrix"],
    reads: &[binding::X, binding::DY],
    output: Output::None,
    spans: false,
    asks_fixed: false,
    bindings: &[(binding::PARTIALS, "partials")],
};

/// The tensors of the dispatch.
pub(crate) struct MatrixDot<'a> {
    pub(crate) x: &'a Tensor,
    pub(crate) dy: &'a Tensor,
    pub(crate) state: &'a MatrixState,
}

impl MatrixDot<'_> {
    pub(crate) fn prepare(&self, recorder: &Recorder<'_>, plan: &MatrixPlan) -> Result<Prepared> {
        let call = Call {
            word: plan.flat_word,
            fixed: false,
            numbers: MatrixNumbers::default(),
            activations: &[(binding::X, self.x), (binding::DY, self.dy)],
            others: &[(binding::PARTIALS, &self.state.partials)],
        };
        KERNEL.prepare(recorder, plan, &plan.flat, &call)
    }
}
