//! Batch norm with a mask: worked out by hand, against finite differences, and at the edges.

use wgnorm::Shape;
use wgnorm::reference::{self, BatchNorm, MaskedBatchNorm, Tail};

use crate::differences::central_differences;
use crate::properties::assert_refused;
use crate::{assert_close, normals};

const NAN: f64 = f64::NAN;
const EPS: f64 = 0.1;

/// A layer without gamma and beta.
fn plain<'a>(shape: &'a Shape, axis: usize, mask: &'a [bool]) -> MaskedBatchNorm<'a> {
    MaskedBatchNorm {
        layer: BatchNorm {
            shape,
            axis,
            gamma: None,
            beta: None,
            eps: EPS,
        },
        mask,
    }
}

#[test]
fn two_sequences_of_which_one_is_shorter() {
    // Two samples, one channel, lengths 2 and 1; what is left of x is 1, 4, 7.
    let shape = Shape::from([2, 1, 2]);
    let masked = MaskedBatchNorm {
        layer: BatchNorm {
            gamma: Some(&[2.0]),
            beta: Some(&[10.0]),
            eps: 3.0,
            ..plain(&shape, 1, &[]).layer
        },
        mask: &[true, true, true, false],
    };
    let x = [1.0, 4.0, 7.0, NAN];
    // Deviations −3, 0, 3 with variance 18/3, and √(6 + 3) = 3.
    let forward = masked.forward(&x);
    assert_eq!((forward.mean[0], forward.var[0]), (4.0, 6.0));
    assert_close("rstd", &forward.rstd, &[1.0 / 3.0], 1e-15);
    assert_close("y", &forward.y, &[8.0, 10.0, 12.0, 0.0], 1e-15);
    assert_eq!(masked.moments(&x).n, 3);

    // dbeta = 6, dgamma = −1 + 2 = 1, and dx = 2/3·(dy − 2 − xhat/3).
    let dy = [1.0, 3.0, 2.0, NAN];
    let gradients = masked.backward(&x, &dy);
    assert_eq!(gradients.dbeta, [6.0]);
    assert_close("dgamma", &gradients.dgamma, &[1.0], 1e-15);
    let dx = [-4.0 / 9.0, 2.0 / 3.0, -2.0 / 9.0, 0.0];
    assert_close("dx", &gradients.dx, &dx, 1e-15);
    // The same terms without signs: dgamma's 1 + 2, and dx = 2/3·(dy + 2 + 3·|xhat|/3).
    let sizes = masked.magnitudes(&x, &dy);
    assert_close("the terms of dgamma", &sizes.dgamma, &[3.0], 1e-15);
    let dx = [8.0 / 3.0, 10.0 / 3.0, 10.0 / 3.0, 0.0];
    assert_close("the terms of dx", &sizes.dx, &dx, 1e-15);

    // By mean 1 and variance 1, √(1 + 3) = 2: xhat = 0, 1.5, 3.
    let y = masked.normalize(&x, &[1.0], &[1.0]);
    assert_close("y by given statistics", &y, &[10.0, 13.0, 16.0, 0.0], 1e-15);
    let frozen = masked.backward_frozen(&x, &dy, &[1.0], &[1.0]);
    assert_eq!(frozen.dx, dy.map(|dy| if dy.is_nan() { 0.0 } else { dy }));
    assert_eq!((frozen.dgamma[0], frozen.dbeta[0]), (10.5, 6.0));
}

#[test]
fn a_mask_that_is_whole_changes_no_bit() {
    for (dims, axis) in [([3, 4, 5], 0), ([3, 4, 5], 1), ([3, 4, 5], 2)] {
        let shape = &Shape::from(dims);
        let mask = vec![true; 60 / dims[axis]];
        let masked = plain(shape, axis, &mask);
        let unmasked = masked.layer;
        let (x, dy) = (&normals(1, 60)[..], &normals(2, 60)[..]);
        let (mean, var) = (&normals(3, dims[axis])[..], &vec![0.7; dims[axis]][..]);
        assert_eq!(masked.forward(x), unmasked.forward(x));
        assert_eq!(masked.backward(x, dy), unmasked.backward(x, dy));
        assert_eq!(masked.magnitudes(x, dy), unmasked.magnitudes(x, dy));
        assert_eq!(
            masked.normalize(x, mean, var),
            unmasked.normalize(x, mean, var)
        );
        let frozen = unmasked.backward_frozen(x, dy, mean, var);
        assert_eq!(masked.backward_frozen(x, dy, mean, var), frozen);
        assert_eq!(masked.moments(x), reference::moments(x, shape, axis));
        assert_eq!(masked.clear(x), x);
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let shape = &Shape::from([2, 3, 4]);
    for axis in 0..3 {
        let channels = shape.dims()[axis];
        let places = 24 / channels;
        let mask: Vec<bool> = normals(1, places).iter().map(|v| *v > -0.5).collect();
        let taken = mask.iter().filter(|valid| **valid).count();
        assert!(
            (2..places).contains(&taken),
            "{taken} of {places} are valid"
        );
        let (gamma, beta) = (&normals(2, channels)[..], &normals(3, channels)[..]);
        let x: Vec<f64> = normals(4, 24).iter().map(|x| x + 3.0).collect();
        let dy = normals(5, 24);
        let with = |gamma: &[f64], beta: &[f64], x: &[f64]| {
            let mut masked = plain(shape, axis, &mask);
            (masked.layer.gamma, masked.layer.beta) = (Some(gamma), Some(beta));
            (masked.forward(x).y, masked.backward(x, &dy))
        };
        let value = |gamma: &[f64], beta: &[f64], x: &[f64]| -> f64 {
            let (y, _) = with(gamma, beta, x);
            dy.iter().zip(&y).map(|(dy, y)| dy * y).sum()
        };
        let (_, got) = with(gamma, beta, &x);
        let dx = central_differences(&x, |x| value(gamma, beta, x));
        assert_close("dx", &got.dx, &dx, 1e-8);
        let dgamma = central_differences(gamma, |gamma| value(gamma, beta, &x));
        assert_close("dgamma", &got.dgamma, &dgamma, 1e-8);
        let dbeta = central_differences(beta, |beta| value(gamma, beta, &x));
        assert_close("dbeta", &got.dbeta, &dbeta, 1e-8);
    }
}

#[test]
fn one_valid_element_gives_beta_and_moves_nothing() {
    let shape = &Shape::from([3, 2]);
    let mut masked = plain(shape, 1, &[false, true, false]);
    masked.layer.gamma = Some(&[3.0, -4.0]);
    masked.layer.beta = Some(&[0.1, -0.2]);
    let x = [NAN, NAN, 1e7, 0.3, NAN, NAN];
    let forward = masked.forward(&x);
    assert_eq!(forward.y, [0.0, 0.0, 0.1, -0.2, 0.0, 0.0]);
    assert_eq!((forward.mean, forward.var), (vec![1e7, 0.3], vec![0.0; 2]));

    let residual = Some(&[NAN, NAN, -0.1, 0.5, NAN, NAN][..]);
    let tail = Tail {
        residual,
        relu: true,
    };
    let y = masked.clear(&tail.apply(&forward.y));
    assert_close(
        "act(beta + residual)",
        &y,
        &[0.0, 0.0, 0.0, 0.3, 0.0, 0.0],
        1e-15,
    );
    let dresidual = masked.clear(&tail.gate(&y, &[NAN, NAN, 5.0, 6.0, NAN, NAN]));
    assert_eq!(dresidual, [0.0, 0.0, 0.0, 6.0, 0.0, 0.0]);
    let gradients = masked.backward(&x, &dresidual);
    assert_eq!(gradients.dx, [0.0; 6]);
    assert_eq!(
        (gradients.dgamma, gradients.dbeta),
        (vec![0.0; 2], vec![0.0, 6.0])
    );

    let mut running = vec![1.0, 2.0];
    masked.update_running(&mut running, &[1e7, 0.3], 0.5);
    assert_eq!(running, [1.0, 2.0]);
    // Two are enough.
    let two = plain(shape, 1, &[true, true, false]);
    two.update_running(&mut running, &[3.0, 6.0], 0.5);
    assert_eq!(running, [2.0, 4.0]);
}

#[test]
fn no_valid_element_gives_zeros_and_moves_nothing() {
    let shape = &Shape::from([2, 3]);
    let masked = plain(shape, 1, &[false; 2]);
    let forward = masked.forward(&[NAN; 6]);
    assert_eq!(forward.y, [0.0; 6]);
    assert!(forward.mean.iter().all(|mean| mean.is_nan()));
    let frozen = masked.backward_frozen(&[NAN; 6], &[NAN; 6], &[1.0; 3], &[1.0; 3]);
    for gradients in [masked.backward(&[NAN; 6], &[NAN; 6]), frozen] {
        assert_eq!(gradients.dx, [0.0; 6]);
        assert_eq!(gradients.dgamma, [0.0; 3]);
        assert_eq!(gradients.dbeta, [0.0; 3]);
    }
    let mut running = vec![1.0, 2.0, 3.0];
    masked.update_running(&mut running, &forward.mean, 0.5);
    assert_eq!(running, [1.0, 2.0, 3.0]);
}

#[test]
fn an_empty_batch_has_no_y_and_zero_parameter_gradients() {
    let shape = &Shape::from([0, 3, 4]);
    let masked = plain(shape, 1, &[]);
    assert!(masked.forward(&[]).y.is_empty());
    let gradients = masked.backward(&[], &[]);
    assert!(gradients.dx.is_empty());
    assert_eq!(gradients.dgamma, [0.0; 3]);
    assert_eq!(gradients.dbeta, [0.0; 3]);
}

#[test]
fn evaluation_does_not_count_how_many_are_valid() {
    let shape = &Shape::from([3, 1]);
    let masked = plain(shape, 1, &[false, true, false]);
    // √(0.9 + 0.1) = 1.
    let y = masked.normalize(&[NAN, 7.0, NAN], &[5.0], &[0.9]);
    assert_close("y", &y, &[0.0, 2.0, 0.0], 1e-15);
    let gradients = masked.backward_frozen(&[NAN, 7.0, NAN], &[NAN, 3.0, NAN], &[5.0], &[0.9]);
    assert_close("dx", &gradients.dx, &[0.0, 3.0, 0.0], 1e-15);
    assert_close("dgamma", &gradients.dgamma, &[6.0], 1e-15);
    assert_eq!(gradients.dbeta, [3.0]);
}

#[test]
fn nan_in_a_valid_place_stays_in_its_channel() {
    let shape = &Shape::from([3, 2]);
    let masked = plain(shape, 1, &[true, false, true]);
    let with = masked.forward(&[NAN, 1.0, 0.0, 0.0, 2.0, 3.0]);
    let without = masked.forward(&[5.0, 1.0, 0.0, 0.0, 2.0, 3.0]);
    assert!(with.y[0].is_nan() && with.y[4].is_nan());
    assert_eq!([with.y[1], with.y[5]][..], [without.y[1], without.y[5]]);
    assert_eq!(with.y[2..4], [0.0; 2]);
}

#[test]
fn arguments_that_do_not_fit_panic_by_name() {
    let shape = &Shape::from([2, 3]);
    let masked = plain(shape, 1, &[true; 2]);
    let (x, c) = ([0.0; 6], [1.0; 3]);
    for length in [1, 4] {
        let wrong = &vec![1.0; length][..];
        let mask = &vec![true; length][..];
        let short = MaskedBatchNorm { mask, ..masked };
        assert_refused("of mask", || short.forward(&x));
        assert_refused("of mask", || short.clear(&x));
        assert_refused("of x", || masked.forward(wrong));
        assert_refused("of x", || masked.moments(wrong));
        assert_refused("of x", || masked.normalize(wrong, &c, &c));
        assert_refused("of mean", || masked.normalize(&x, wrong, &c));
        assert_refused("of var", || masked.backward_frozen(&x, &x, &c, wrong));
        assert_refused("of dy", || masked.backward(&x, wrong));
        assert_refused("of dy", || masked.magnitudes(&x, wrong));
        assert_refused("of dy", || masked.backward_frozen(&x, wrong, &c, &c));
        assert_refused("of values", || masked.clear(wrong));
        // Also where nothing is moved.
        for mask in [&[true, true], &[false, true]] {
            let masked = MaskedBatchNorm { mask, ..masked };
            assert_refused("of batch", || {
                masked.update_running(&mut [0.0; 3], wrong, 0.1);
            });
        }
    }
}
