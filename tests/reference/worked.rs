//! Examples worked out by hand, with as many digits as they were worked out to.

use approx::assert_abs_diff_eq;
use wgnorm::Shape;
use wgnorm::reference::{self, BatchNorm};

/// Half a unit in the fourth decimal, to which the examples are given, and a little more, since the
/// variance 1.15265 lies exactly half way.
const ROUNDED: f64 = 5.000_001e-5;

/// A layer over (N, C) without gamma and beta, which most of the examples are about.
fn plain(shape: &Shape) -> BatchNorm<'_> {
    BatchNorm {
        shape,
        axis: 1,
        gamma: None,
        beta: None,
        eps: 1e-5,
    }
}

#[test]
fn one_to_four_with_gamma_2_and_beta_3() {
    let shape = Shape::from([4, 1]);
    let layer = BatchNorm {
        gamma: Some(&[2.0]),
        beta: Some(&[3.0]),
        ..plain(&shape)
    };
    let forward = layer.forward(&[1.0, 2.0, 3.0, 4.0]);
    assert_eq!(forward.mean, [2.5]);
    assert_eq!(forward.var, [1.25]);
    let y = [0.3167, 2.1056, 3.8944, 5.6833];
    assert_abs_diff_eq!(forward.y[..], y[..], epsilon = ROUNDED);
}

#[test]
fn four_values_of_both_signs() {
    let shape = Shape::from([4, 1]);
    let forward = plain(&shape).forward(&[0.56, 2.31, 1.78, -0.45]);
    assert_abs_diff_eq!(forward.mean[0], 1.05, epsilon = 1e-15);
    assert_abs_diff_eq!(forward.var[0], 1.1527, epsilon = ROUNDED);
    let xhat = [-0.4564, 1.1736, 0.6799, -1.3971];
    assert_abs_diff_eq!(forward.y[..], xhat[..], epsilon = ROUNDED);
}

#[test]
fn two_more_variances() {
    let shape = Shape::from([4, 1]);
    for (x, var) in [
        ([-0.23, 0.87, 2.45, 0.12], 1.0627),
        ([1.45, -1.12, 0.34, 0.89], 0.9141),
    ] {
        let batch = reference::moments(&x, &shape, 1);
        assert_abs_diff_eq!(batch.var[0], var, epsilon = ROUNDED);
    }
}

#[test]
fn two_channels_of_four_values() {
    let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    let batch = reference::moments(&x, &Shape::from([4, 2]), 1);
    assert_eq!(batch.mean, [4.0, 5.0]);
    assert_eq!(batch.var, [5.0, 5.0]);
    assert_eq!(batch.n, 4);
}

#[test]
fn evaluation_by_running_statistics() {
    let shape = Shape::from([1, 2]);
    let y = plain(&shape).normalize(&[2.0, 3.0], &[4.2, 5.1], &[4.8, 4.9]);
    assert_abs_diff_eq!(y[..], [-1.0042, -0.9487][..], epsilon = ROUNDED);
}

#[test]
fn running_statistics_after_two_batches() {
    let (mut running_mean, mut running_var) = ([0.0], [1.0]);
    let weight_of_new = 1.0 - 0.9;
    reference::update_running(&mut running_mean, &[2.3], weight_of_new);
    reference::update_running(&mut running_var, &[1.5], weight_of_new);
    assert_abs_diff_eq!(running_mean[0], 0.23, epsilon = 1e-15);
    assert_abs_diff_eq!(running_var[0], 1.05, epsilon = 1e-15);
    reference::update_running(&mut running_mean, &[2.7], weight_of_new);
    reference::update_running(&mut running_var, &[1.8], weight_of_new);
    assert_abs_diff_eq!(running_mean[0], 0.477, epsilon = 1e-15);
    assert_abs_diff_eq!(running_var[0], 1.125, epsilon = 1e-15);
}

#[test]
fn the_unbiased_variance_divides_by_one_less() {
    // Σ(x − mean)² of 1, 2, 3, 4 is 5: biased 5/4, unbiased 5/3.
    assert_abs_diff_eq!(
        reference::unbiased(&[1.25], 4)[0],
        5.0 / 3.0,
        epsilon = 1e-15
    );
}

#[test]
fn an_image_batch_has_25_088_values_per_channel_and_64_of_each_parameter() {
    let shape = Shape::from([32, 64, 28, 28]);
    let x: Vec<f64> = (0..shape.numel()).map(|i| (i % 7) as f64).collect();
    assert_eq!(reference::moments(&x, &shape, 1).n, 25_088);
    let gradients = plain(&shape).backward(&x, &x);
    assert_eq!(gradients.dgamma.len(), 64);
    assert_eq!(gradients.dbeta.len(), 64);
    assert_eq!(gradients.dx.len(), shape.numel());
}
