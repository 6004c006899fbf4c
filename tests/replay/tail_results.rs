//! What may follow a norm, and activations of 16 bits, against the oracle within the bounds that the
//! library promises.

use rand::SeedableRng;
use rand_pcg::Pcg64;
use safetensors::tensor::Dtype;

use crate::family_refusals::ACTIVATIONS;
use crate::family_results::{any, draw};
use crate::oracle::check;
use crate::types::stored;
use crate::{Request, normals};

const ALL: &str = "weight bias running dy";

/// The same request with a residual, whose values are drawn as those of dy are.
pub(crate) fn with_residual(request: &Request) -> Request {
    let shape = request.shape("x");
    let values = normals(8, shape.iter().product());
    request.clone().f32("residual", shape, &values)
}

/// The same request with a relu, a residual or both.
fn tails(request: &Request) -> [Request; 3] {
    let relu = request.clone().meta("activation", "relu");
    let both = with_residual(&relu);
    [relu, with_residual(request), both]
}

#[test]
fn tails_of_batch_norm() {
    let nchw = draw("batch_norm", &[4, 3, 5, 7], &[("momentum", "0.3")], ALL);
    let nhwc = [("channel_axis", "3"), ("eps", "1e-3")];
    let nhwc = draw("batch_norm", &[3, 4, 4, 50], &nhwc, ALL);
    let large = draw("batch_norm", &[40, 3, 33, 21], &[], ALL);
    for request in [&nchw, &nhwc, &large] {
        for request in tails(request) {
            check(&request);
            check(&request.clone().meta("mode", "eval"));
            check(&request.clone().meta("statistics", "running"));
            // A gate without a beta, and a forward alone.
            check(&request.without("bias"));
        }
    }
    let [_, residual, both] = tails(&nchw.without("dy"));
    check(&residual);
    check(&both);
}

#[test]
fn any_tail() {
    let mut random = Pcg64::seed_from_u64(6);
    for op in ACTIVATIONS.into_iter().chain(["batch_norm"]) {
        for _ in 0..3 {
            tails(&any(op, &mut random)).iter().for_each(check);
        }
    }
}

#[test]
fn any_tail_in_16_bits() {
    let mut random = Pcg64::seed_from_u64(7);
    for op in ACTIVATIONS.into_iter().chain(["batch_norm"]) {
        for dtype in [Dtype::F16, Dtype::BF16] {
            let request = any(op, &mut random);
            check(&stored(&request, dtype));
            for request in tails(&request) {
                check(&stored(&request, dtype));
            }
        }
    }
}

/// A constant channel is beta exactly, so that its y is 0 here and no gradient passes.
fn check_the_gate_at_zero(dtype: Dtype) {
    let request = Request::new(&[("activation", "relu")], &[4, 2], &[3.0; 8])
        .f32("bias", &[2], &[0.0, 0.5])
        .f32("dy", &[4, 2], &[1.0; 8]);
    let with_residual = request.clone().f32("residual", &[4, 2], &[0.0; 8]);
    for request in [request, with_residual] {
        let Some(results) = stored(&request, dtype).results() else {
            return;
        };
        assert_eq!(results.f32("dbias", &[2]), [0.0, 4.0]);
        let y = results.wide("y", &[4, 2], dtype);
        assert_eq!(y, [0.0, 0.5].repeat(4));
        if request.has("residual") {
            let passed = results.wide("dresidual", &[4, 2], dtype);
            assert_eq!(passed, [0.0, 1.0].repeat(4));
        }
    }
}

fn check_nothing(dtype: Dtype) {
    let empty = draw("batch_norm", &[0, 6, 5], &[("activation", "relu")], ALL);
    let request = stored(&with_residual(&empty), dtype);
    let Some(results) = request.results() else {
        return;
    };
    for name in ["y", "dx", "dresidual"] {
        assert!(results.wide(name, &[0, 6, 5], dtype).is_empty(), "{name}");
    }
    assert_eq!(results.f32("dweight", &[6]), [0.0; 6]);
}

#[test]
fn the_gate_is_closed_at_zero() {
    check_the_gate_at_zero(Dtype::F32);
}

#[test]
fn the_gate_is_closed_at_zero_in_16_bits() {
    check_the_gate_at_zero(Dtype::F16);
    check_the_gate_at_zero(Dtype::BF16);
}

#[test]
fn nothing_in_gives_nothing_out() {
    check_nothing(Dtype::F32);
}

#[test]
fn nothing_in_gives_nothing_out_in_16_bits() {
    check_nothing(Dtype::F16);
    check_nothing(Dtype::BF16);
}
