//! Examples of the other norms, worked out by hand.

use approx::assert_abs_diff_eq;
use wgnorm::Shape;
use wgnorm::reference::{
    self, BatchRenorm, GroupNorm, InstanceNorm, LayerNorm, RmsNorm, SpectralNorm, WeightNorm,
};

use crate::assert_close;

const EXACT: f64 = 1e-15;

#[test]
fn layer_norm_of_two_rows() {
    let layer = LayerNorm {
        shape: &Shape::from([2, 2]),
        normalized_dims: 1,
        gamma: Some(&[2.0, 3.0]),
        beta: Some(&[10.0, 20.0]),
        eps: 9.0,
    };
    // Deviations of ∓4 with variance 16, and √(16 + 9) = 5; the other row is constant.
    let x = [1.0, 9.0, 7.0, 7.0];
    let forward = layer.forward(&x);
    assert_eq!(forward.mean, [5.0, 7.0]);
    assert_eq!(forward.var, [16.0, 0.0]);
    assert_close("rstd", &forward.rstd, &[0.2, 1.0 / 3.0], EXACT);
    let y = [10.0 - 2.0 * 0.8, 20.0 + 3.0 * 0.8, 10.0, 20.0];
    assert_close("y", &forward.y, &y, EXACT);

    // In the first row g = (2, 0), Σg/2 = 1 and Σ(g·xhat)/2 = −0.8, so that
    // dx = (2 − 1 − 0.64, 0 − 1 + 0.64) / 5. In the second one g = (2, 3) and xhat = 0.
    let dy = [1.0, 0.0, 1.0, 1.0];
    let gradients = layer.backward(&x, &dy);
    let dx = [0.072, -0.072, -1.0 / 6.0, 1.0 / 6.0];
    assert_close("dx", &gradients.dx, &dx, EXACT);
    assert_close("dgamma", &gradients.dgamma, &[-0.8, 0.0], EXACT);
    assert_eq!(gradients.dbeta, [2.0, 1.0]);

    // The same terms, all added.
    let sizes = layer.magnitudes(&x, &dy);
    let dx = [3.64 / 5.0, 1.64 / 5.0, 4.5 / 3.0, 5.5 / 3.0];
    assert_close("the terms of dx", &sizes.dx, &dx, EXACT);
    assert_close("the terms of dgamma", &sizes.dgamma, &[0.8, 0.0], EXACT);
    assert_eq!(sizes.dbeta, [2.0, 1.0]);
}

#[test]
fn rms_norm_of_3_and_4() {
    let layer = RmsNorm {
        shape: &Shape::from([1, 2]),
        normalized_dims: 1,
        gamma: Some(&[2.0, -1.0]),
        beta: None,
        eps: 12.5,
    };
    // The mean square is 25/2, and √(12.5 + 12.5) = 5.
    let forward = layer.forward(&[3.0, 4.0]);
    assert_eq!((forward.mean[0], forward.var[0]), (0.0, 12.5));
    assert_close("y", &forward.y, &[1.2, -0.8], EXACT);
    // g = (2, −1) and Σ(g·xhat)/2 = (2·0.6 − 0.8)/2 = 0.2: dx = (2 − 0.6·0.2, −1 − 0.8·0.2) / 5.
    let gradients = layer.backward(&[3.0, 4.0], &[1.0, 1.0]);
    assert_close("dx", &gradients.dx, &[0.376, -0.232], EXACT);
    assert_close("dgamma", &gradients.dgamma, &[0.6, 0.8], EXACT);
    // Without signs, Σ(g·xhat)/2 is 1.
    let sizes = layer.magnitudes(&[3.0, 4.0], &[1.0, 1.0]);
    assert_close("the terms of dx", &sizes.dx, &[0.52, 0.36], EXACT);
}

#[test]
fn groups_of_two_channels_wherever_they_lie() {
    // One sample of four channels with two values each: the groups have 0, 2, 2, 4 and 10, 10, 10, 14.
    let by_channel = [0.0, 2.0, 2.0, 4.0, 10.0, 10.0, 10.0, 14.0];
    let mut by_place = [0.0; 8];
    for (i, x) in by_channel.iter().enumerate() {
        by_place[i % 2 * 4 + i / 2] = *x;
    }
    for (dims, axis, x) in [([1, 4, 2], 1, by_channel), ([1, 2, 4], 2, by_place)] {
        let layer = GroupNorm {
            shape: &Shape::from(dims),
            axis,
            groups: 2,
            gamma: None,
            beta: None,
            eps: 1e-5,
        };
        let forward = layer.forward(&x);
        assert_eq!(forward.mean, [2.0, 11.0]);
        assert_eq!(forward.var, [2.0, 3.0]);
        let of = layer.statistics();
        for (x, s) in x.iter().zip(of) {
            assert_eq!(s, usize::from(*x > 4.0), "the group of {x}");
        }
    }
}

#[test]
fn running_statistics_of_instances_are_averages() {
    // Two samples of one channel: means 1 and 5, squared deviations of 2 and 8 in sum, so biased
    // variances 1 and 4 and unbiased ones 2 and 8.
    let layer = InstanceNorm {
        shape: &Shape::from([2, 1, 2]),
        axis: 1,
        gamma: None,
        beta: None,
        eps: 1e-5,
    };
    let batch = layer.averaged_moments(&[0.0, 2.0, 3.0, 7.0]);
    assert_eq!((batch.mean[0], batch.var[0], batch.n), (3.0, 2.5, 2));
    let mut running_var = [1.0];
    reference::update_running(
        &mut running_var,
        &reference::unbiased(&batch.var, batch.n),
        0.1,
    );
    assert_close("running_var", &running_var, &[0.9 + 0.1 * 5.0], EXACT);
}

#[test]
fn batch_renorm_within_and_beyond_its_limits() {
    // The batch has mean 5, variance 16 and sigma_B = 5, the running statistics mean 2 and sigma 4.
    let (x, dy) = ([1.0, 9.0], [1.0, 0.0]);
    let (running_mean, running_var) = ([2.0], [7.0]);
    let free = BatchRenorm {
        shape: &Shape::from([2, 1]),
        axis: 1,
        gamma: Some(&[2.0]),
        beta: Some(&[1.0]),
        eps: 9.0,
        r_max: 3.0,
        d_max: 5.0,
    };
    let forward = free.forward(&x, &running_mean, &running_var);
    assert_eq!((forward.mean[0], forward.var[0]), (5.0, 16.0));
    assert_eq!((forward.r[0], forward.d[0]), (1.25, 0.75));
    // xhat·r + d = (x − 2)/4, what the running statistics give.
    assert_close("y", &forward.y, &[0.5, 4.5], EXACT);
    let gradients = free.backward(&x, &dy, &running_mean, &running_var);
    // gamma·r·rstd = 0.5 times (1 − 0.5 − 0.8·0.4, 0 − 0.5 + 0.8·0.4).
    assert_close("dx", &gradients.dx, &[0.09, -0.09], EXACT);
    assert_close("dgamma", &gradients.dgamma, &[-0.25], EXACT);
    let sizes = free.magnitudes(&x, &dy, &running_mean, &running_var);
    assert_close("the terms of dx", &sizes.dx, &[0.91, 0.41], EXACT);
    assert_close("the terms of dgamma", &sizes.dgamma, &[1.75], EXACT);

    let tight = BatchRenorm {
        r_max: 1.125,
        d_max: 0.5,
        ..free
    };
    let forward = tight.forward(&x, &running_mean, &running_var);
    assert_eq!((forward.r[0], forward.d[0]), (1.125, 0.5));
    // From the other side: sigma is √(91 + 9) = 10, and the mean lies below the running one.
    let forward = tight.forward(&x, &[25.0], &[91.0]);
    assert_eq!((forward.r[0], forward.d[0]), (1.0 / 1.125, -0.5));
}

#[test]
fn weight_norm_of_3_and_4() {
    for (dims, dim) in [([1, 2], 0), ([2, 1], 1)] {
        let layer = WeightNorm {
            shape: &Shape::from(dims),
            dim,
        };
        let (v, g, dw) = ([3.0, 4.0], [10.0], [1.0, 0.0]);
        assert_eq!(layer.norms(&v), [5.0]);
        assert_close("w", &layer.forward(&v, &g), &[6.0, 8.0], EXACT);
        let gradients = layer.backward(&v, &g, &dw);
        assert_close("dg", &gradients.dg, &[0.6], EXACT);
        assert_close("dv", &gradients.dv, &[2.0 * 0.64, -2.0 * 0.48], EXACT);
        let sizes = layer.magnitudes(&v, &g, &dw);
        assert_close("the terms of dv", &sizes.dv, &[2.0 * 1.36, 0.96], EXACT);
    }
}

#[test]
fn spectral_norm_of_a_diagonal_matrix() {
    let layer = SpectralNorm {
        shape: &Shape::from([2, 2]),
        dim: 0,
        eps: 1e-12,
    };
    let weight = [4.0, 0.0, 0.0, 3.0];
    // One iteration from u = (3, 4)/5: Wᵀu is along (1, 1), then Wv along (4, 3) with a norm of
    // 5/√2, which is sigma.
    let found = layer.forward(&weight, &[0.6, 0.8], None, 1);
    let half = 0.5_f64.sqrt();
    assert_close("v", &found.v, &[half, half], EXACT);
    assert_close("u", &found.u, &[0.8, 0.6], EXACT);
    assert_abs_diff_eq!(found.sigma, 5.0 * half, epsilon = EXACT);
    // Evaluation leaves them, whatever the weight has become.
    let later = layer.forward(&[8.0, 0.0, 0.0, 6.0], &found.u, Some(&found.v), 0);
    assert_eq!((&later.u, &later.v), (&found.u, &found.v));
    assert_abs_diff_eq!(later.sigma, 10.0 * half, epsilon = 2.0 * EXACT);

    // With the exact vectors, w = (1, 0, 0, 3/4), and of dw = 1 everywhere Σ dw·w = 7/4 counts
    // against the first element alone.
    let e = [1.0, 0.0];
    let dweight = layer.backward(&weight, &e, &e, &[1.0; 4]);
    assert_eq!(dweight, [-0.1875, 0.25, 0.25, 0.25]);
    let sizes = layer.magnitudes(&weight, &e, &e, &[-1.0; 4]);
    assert_eq!(sizes, [0.6875, 0.25, 0.25, 0.25]);
}
