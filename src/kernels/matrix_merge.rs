//! Host half of `shaders/matrix_merge.wgsl`: the vector that a product gives, and the sum of its
//! squares.

use super::io::Output;
use super::matrix::{Call, MatrixKernel, MatrixNumbers, MatrixState, binding};
use super::{body, lib};
use crate::Result;
use crate::gpu::{Prepared, Recorder, Tensor};
use crate::plan::matrix::{MatrixPlan, Side};

pub(super) static KERNEL: MatrixKernel = MatrixKernel {
    name: "matrix_merge",
    body: body!("matrix_merge"),
    lib: lib!["workgroup", "matrix"],
    reads: &[],
    output: Output::None,
    spans: false,
    asks_fixed: true,
    bindings: &[
        (binding::VECTOR, "vector"),
        (binding::PARTIALS, "partials"),
        (binding::SUMS, "sums"),
        (binding::FIXED, "fixed"),
    ],
};

/// The tensors of the dispatch.
pub(crate) struct MatrixMerge<'a> {
    pub(crate) state: &'a MatrixState,
    /// The vector that the product gave.
    pub(crate) side: Side,
    /// The vector that stays, where only its product with the merged one is wanted.
    pub(crate) fixed: Option<&'a Tensor>,
}

impl MatrixMerge<'_> {
    pub(crate) fn prepare(&self, recorder: &Recorder<'_>, plan: &MatrixPlan) -> Result<Prepared> {
        let Self { state, side, .. } = *self;
        let mut others = vec![
            (binding::VECTOR, state.vector(side)),
            (binding::PARTIALS, &state.partials),
            (binding::SUMS, state.sums(side)),
        ];
        others.extend(self.fixed.map(|fixed| (binding::FIXED, fixed)));
        let call = Call {
            word: plan.word_of(side),
            fixed: self.fixed.is_some(),
            numbers: MatrixNumbers {
                partials: plan.product(side).slices,
                ..MatrixNumbers::default()
            },
            activations: &[],
            others: &others,
        };
        KERNEL.prepare(recorder, plan, &plan.merge(side), &call)
    }
}
