//! What holds for every input, and what happens at the edges.

use std::panic::{UnwindSafe, catch_unwind};

use approx::assert_abs_diff_eq;
use proptest::prelude::*;
use wgnorm::Shape;
use wgnorm::reference::{self, BatchNorm};

use crate::{assert_close, normals};

#[test]
fn gamma_and_beta_can_undo_the_normalization() {
    let shape = Shape::from([3, 4, 5]);
    let x = normals(1, shape.numel());
    let batch = reference::moments(&x, &shape, 1);
    let eps = 1e-3;
    let gamma: Vec<f64> = batch.var.iter().map(|var| (var + eps).sqrt()).collect();
    let layer = BatchNorm {
        shape: &shape,
        axis: 1,
        gamma: Some(&gamma),
        beta: Some(&batch.mean),
        eps,
    };
    assert_close("y", &layer.forward(&x).y, &x, 1e-14);
}

#[test]
fn a_constant_channel_becomes_beta() {
    let shape = Shape::from([6, 3]);
    // Only the channel in the middle is constant.
    let mut x = normals(2, shape.numel());
    x.iter_mut()
        .skip(1)
        .step_by(3)
        .for_each(|x| *x = 16_777_215.0);
    let layer = BatchNorm {
        shape: &shape,
        axis: 1,
        gamma: Some(&[1.5, -2.5, 0.5]),
        beta: Some(&[0.1, 0.2, 0.3]),
        eps: 1e-5,
    };
    let forward = layer.forward(&x);
    assert_eq!(forward.var[1].to_bits(), 0.0_f64.to_bits());
    for y in forward.y.iter().skip(1).step_by(3) {
        assert_eq!(y.to_bits(), 0.2_f64.to_bits());
    }
}

proptest! {
    #[test]
    fn any_two_distinct_values_normalize_to_minus_and_plus_one(
        a in -1e6_f32..1e6,
        b in -1e6_f32..1e6,
    ) {
        prop_assume!(a < b);
        let shape = Shape::from([2, 1]);
        let layer =
            BatchNorm { shape: &shape, axis: 1, gamma: None, beta: None, eps: f64::MIN_POSITIVE };
        let y = layer.forward(&[f64::from(a), f64::from(b)]).y;
        assert_abs_diff_eq!(y[..], [-1.0, 1.0][..], epsilon = 1e-14);
    }

    #[test]
    fn the_channel_is_the_index_along_the_axis(
        dims in prop::collection::vec(0_usize..5, 1..7),
        axis in any::<prop::sample::Index>(),
    ) {
        let axis = axis.index(dims.len());
        let shape = Shape::from(dims.clone());
        let mut index = vec![0; dims.len()];
        let mut expected = Vec::new();
        for _ in 0..shape.numel() {
            expected.push(index[axis]);
            // Counts up like an odometer, the last dimension first.
            for (digit, &dim) in index.iter_mut().zip(&dims).rev() {
                *digit += 1;
                if *digit < dim {
                    break;
                }
                *digit = 0;
            }
        }
        let got: Vec<usize> = reference::channels(&shape, axis).collect();
        prop_assert_eq!(got, expected);
    }
}

#[test]
fn one_value_per_channel_has_variance_0_and_no_unbiased_one() {
    let shape = Shape::from([1, 2]);
    let layer = BatchNorm {
        shape: &shape,
        axis: 1,
        gamma: None,
        beta: Some(&[3.0, 4.0]),
        eps: 1e-5,
    };
    let forward = layer.forward(&[0.1, -7.0]);
    assert_eq!(forward.mean, [0.1, -7.0]);
    assert_eq!(forward.var, [0.0, 0.0]);
    assert_eq!(forward.y, [3.0, 4.0]);
    assert_eq!(layer.backward(&[0.1, -7.0], &[1.0, 2.0]).dx, [0.0, 0.0]);
    assert!(reference::unbiased(&forward.var, 1)[0].is_nan());
}

#[test]
fn an_empty_batch_has_no_y_and_zero_parameter_gradients() {
    let shape = Shape::from([0, 3, 4]);
    let layer = BatchNorm {
        shape: &shape,
        axis: 1,
        gamma: Some(&[1.0; 3]),
        beta: None,
        eps: 1e-5,
    };
    assert!(layer.forward(&[]).y.is_empty());
    let frozen = layer.backward_frozen(&[], &[], &[0.0; 3], &[1.0; 3]);
    for gradients in [layer.backward(&[], &[]), frozen] {
        assert!(gradients.dx.is_empty());
        assert_eq!(gradients.dgamma, [0.0; 3]);
        assert_eq!(gradients.dbeta, [0.0; 3]);
    }
}

/// Asserts that `call` panics and names the argument `name` in its message.
pub(crate) fn assert_refused<T>(name: &str, call: impl FnOnce() -> T + UnwindSafe) {
    let Err(panic) = catch_unwind(call) else {
        panic!("{name} was accepted");
    };
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains(name), "{message}");
}

#[test]
fn arguments_that_do_not_fit_panic_by_name() {
    let shape = &Shape::from([2, 3]);
    let layer = BatchNorm {
        shape,
        axis: 1,
        gamma: None,
        beta: None,
        eps: 1e-5,
    };
    let (x, c) = ([0.0; 6], [1.0; 3]);
    for length in [2, 4] {
        let wrong = &vec![1.0; length][..];
        let some = Some(wrong);
        let with_gamma = BatchNorm {
            gamma: some,
            ..layer
        };
        assert_refused("of gamma", || with_gamma.forward(&x));
        assert_refused("of gamma", || with_gamma.backward(&x, &x));
        assert_refused("of beta", || {
            BatchNorm {
                beta: some,
                ..layer
            }
            .forward(&x)
        });
        assert_refused("of x", || layer.normalize(wrong, &c, &c));
        assert_refused("of mean", || layer.normalize(&x, wrong, &c));
        assert_refused("of var", || layer.normalize(&x, &c, wrong));
        assert_refused("of dy", || layer.backward(&x, wrong));
        assert_refused("of dy", || layer.magnitudes(&x, wrong));
        assert_refused("of dy", || layer.backward_frozen(&x, wrong, &c, &c));
        assert_refused("of terms", || reference::channel_sums(wrong, shape, 1));
        assert_refused("of batch", || {
            reference::update_running(&mut [0.0; 3], wrong, 0.1);
        });
    }
    assert_refused("axis 2", || reference::moments(&x, shape, 2));
}
