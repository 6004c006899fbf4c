//! The gradients against central finite differences of the oracle's own forward.

use wgnorm::Shape;
use wgnorm::reference::{BatchNorm, Gradients};

use crate::{assert_close, normals};

/// Ranks 2 to 6 with the channels first, in the middle and last, odd sizes, a single channel, n of
/// 2 and sizes of 1 on either side.
const CASES: [(&[usize], usize); 13] = [
    (&[5, 3], 1),
    (&[3, 7], 0),
    (&[2, 4], 1),
    (&[9, 1], 1),
    (&[4, 3, 5], 0),
    (&[4, 3, 5], 1),
    (&[4, 3, 5], 2),
    (&[2, 3, 3, 4], 1),
    (&[2, 3, 4, 3], 3),
    (&[1, 2, 7, 7], 1),
    (&[2, 3, 2, 2, 3], 2),
    (&[2, 2, 3, 2, 1, 2], 1),
    (&[2, 1, 2, 3, 2, 2], 5),
];

/// The gradient of `f` at `at` by central differences. With this step the error of truncation and
/// that of rounding are both around 1e-10 for numbers around 1.
pub(crate) fn central_differences(at: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let mut at = at.to_vec();
    let mut gradient = Vec::with_capacity(at.len());
    for i in 0..at.len() {
        let center = at[i];
        at[i] = center + STEP;
        let above = f(&at);
        at[i] = center - STEP;
        let below = f(&at);
        at[i] = center;
        gradient.push((above - below) / (2.0 * STEP));
    }
    gradient
}

/// Holds all three gradients, as `backward` makes them, against central differences of `Σ dy·y`,
/// where `forward` makes y.
fn check_gradients(
    forward: impl Fn(BatchNorm, &[f64]) -> Vec<f64>,
    backward: impl Fn(BatchNorm, &[f64], &[f64]) -> Gradients,
) {
    for (seed, (dims, axis)) in (0..).zip(CASES) {
        let shape = &Shape::from(dims);
        let dy = normals(seed, shape.numel());
        let value = |layer: BatchNorm, x: &[f64]| -> f64 {
            let y = forward(layer, x);
            dy.iter().zip(&y).map(|(dy, y)| dy * y).sum()
        };
        let check = |name: &str, got: &[f64], expected: &[f64]| {
            let name = format!("{name} of {shape} along {axis}");
            assert_close(&name, got, expected, 1e-8);
        };
        // A mean away from 0 makes every term count that it enters.
        let x: Vec<f64> = normals(seed + 100, shape.numel());
        let x: Vec<f64> = x.iter().map(|x| x + 3.0).collect();
        let gamma = &normals(seed + 200, dims[axis])[..];
        let beta = &normals(seed + 300, dims[axis])[..];
        let plain = BatchNorm {
            shape,
            axis,
            gamma: None,
            beta: None,
            eps: 0.1,
        };
        let layer = BatchNorm {
            gamma: Some(gamma),
            beta: Some(beta),
            ..plain
        };
        let by_gamma = |gamma: &[f64]| {
            let gamma = Some(gamma);
            value(BatchNorm { gamma, ..layer }, &x)
        };
        let by_beta = |beta: &[f64]| {
            let beta = Some(beta);
            value(BatchNorm { beta, ..layer }, &x)
        };

        let got = backward(layer, &x, &dy);
        let dx = central_differences(&x, |x| value(layer, x));
        check("dx", &got.dx, &dx);
        check("dgamma", &got.dgamma, &central_differences(gamma, by_gamma));
        check("dbeta", &got.dbeta, &central_differences(beta, by_beta));

        let dx = central_differences(&x, |x| value(plain, x));
        check("dx without gamma", &backward(plain, &x, &dy).dx, &dx);
    }
}

#[test]
fn training_gradients_are_those_of_finite_differences() {
    check_gradients(
        |layer, x| layer.forward(x).y,
        |layer, x, dy| layer.backward(x, dy),
    );
}

#[test]
fn frozen_gradients_are_those_of_finite_differences() {
    let statistics = |layer: BatchNorm| {
        let c = layer.shape.dims()[layer.axis];
        let var: Vec<f64> = normals(401, c).iter().map(|v| 0.2 + v * v).collect();
        (normals(400, c), var)
    };
    check_gradients(
        |layer, x| {
            let (mean, var) = statistics(layer);
            layer.normalize(x, &mean, &var)
        },
        |layer, x, dy| {
            let (mean, var) = statistics(layer);
            layer.backward_frozen(x, dy, &mean, &var)
        },
    );
}
