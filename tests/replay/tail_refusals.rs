//! Tails, 16-bit tensors and masks that are wrong: exit code 2, one line that names what is wrong,
//! nothing written. None of them needs an adapter.

use safetensors::tensor::Dtype;

use crate::Request;
use crate::family_refusals::{ACTIVATIONS, WEIGHTS, assert_refused, valid};
use crate::tail_results::with_residual;

/// A training step of each norm of activations with a tail, on an x of [2, 6, 5].
fn all() -> impl Iterator<Item = Request> {
    let ops = ACTIVATIONS.into_iter().chain(["batch_norm"]);
    ops.map(|op| with_residual(&valid(op).meta("activation", "relu")))
}

#[test]
fn the_requests_that_the_others_spoil_are_valid() {
    for request in all() {
        let Some(results) = request.results() else {
            return;
        };
        let op = &request.metadata["op"];
        assert!(results.names().contains(&"dresidual"), "{op}");
        let forward = request.without("dy").results().unwrap();
        assert!(!forward.names().contains(&"dresidual"));
    }
}

#[test]
fn activations_that_there_are_not() {
    for request in all() {
        for value in ["", "Relu", "gelu", "0"] {
            let message = format!("activation: expected none or relu, got {value:?}");
            assert_refused(&request.clone().meta("activation", value), &message);
        }
    }
}

#[test]
fn residuals_of_other_shapes() {
    for request in all() {
        for shape in [&[6, 2, 5][..], &[2, 6, 5, 1], &[60], &[6], &[]] {
            let values = vec![0.0; shape.iter().product()];
            let message = format!("residual: expected x's shape [2, 6, 5], got {shape:?}");
            assert_refused(&request.clone().f32("residual", shape, &values), &message);
        }
    }
}

#[test]
fn activations_of_different_types() {
    for request in all() {
        let as_type = |name, dtype, size: usize| {
            let bytes = vec![0; 60 * size];
            request.clone().raw(name, dtype, &[2, 6, 5], bytes)
        };
        for name in ["dy", "residual"] {
            for dtype in [Dtype::F16, Dtype::BF16] {
                let message = format!("{name}: expected x's element type F32, got {dtype}");
                assert_refused(&as_type(name, dtype, 2), &message);
            }
            let message = format!("{name}: expected element type F32, F16 or BF16, got ");
            assert_refused(&as_type(name, Dtype::F64, 8), &format!("{message}F64"));
            assert_refused(&as_type(name, Dtype::I16, 2), &format!("{message}I16"));
        }
        let message = "dy: expected x's element type BF16, got F32";
        assert_refused(&as_type("x", Dtype::BF16, 2), message);
        let message = "residual: expected x's element type F16, got F32";
        let without = as_type("x", Dtype::F16, 2).without("dy");
        assert_refused(&without, message);
    }
}

/// Only activations may be stored in 16 bits.
#[test]
fn parameters_of_16_bits() {
    let requests = all().chain(WEIGHTS.into_iter().map(valid));
    for request in requests {
        for (name, (_, shape, _)) in &request.tensors {
            if matches!(name.as_str(), "x" | "dy" | "residual") {
                continue;
            }
            for dtype in [Dtype::F16, Dtype::BF16] {
                let bytes = vec![0; 2 * shape.iter().product::<usize>()];
                let message = format!("{name}: expected element type F32, got {dtype}");
                assert_refused(&request.clone().raw(name, dtype, shape, bytes), &message);
            }
        }
    }
}

#[test]
fn masks() {
    let request = valid("batch_norm");
    let masked = |shape: &[usize]| {
        let bytes = vec![1; shape.iter().product()];
        request.clone().raw("mask", Dtype::U8, shape, bytes)
    };
    for (axis, expected) in [("0", [6, 5]), ("1", [2, 5]), ("2", [2, 6])] {
        for shape in [&[2, 6, 5][..], &[expected[1], expected[0]], &[10], &[]] {
            let message = format!(
                "mask: expected {expected:?}, x's shape [2, 6, 5] without the channel axis {axis}, \
                 got {shape:?}"
            );
            let request = masked(shape).without("weight").without("bias");
            assert_refused(&request.meta("channel_axis", axis), &message);
        }
    }
    for (dtype, size) in [(Dtype::F32, 4), (Dtype::BOOL, 1), (Dtype::I64, 8)] {
        let wide = request.clone();
        let wide = wide.raw("mask", dtype, &[2, 5], vec![1; 10 * size]);
        let message = format!("mask: expected element type U8, got {dtype}");
        assert_refused(&wide, &message);
    }
}
