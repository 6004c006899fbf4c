//! What the norms have in common with each other.

use wgnorm::Shape;
use wgnorm::reference::{
    self, BatchNorm, BatchRenorm, Gradients, GroupNorm, InstanceNorm, LayerNorm, RmsNorm,
    SpectralNorm, WeightNorm,
};

use crate::{assert_close, normals};

const EPS: f64 = 1e-3;

fn assert_same(name: &str, got: &Gradients, expected: &Gradients) {
    assert_close(&format!("dx of {name}"), &got.dx, &expected.dx, 1e-13);
    let dgamma = format!("dgamma of {name}");
    assert_close(&dgamma, &got.dgamma, &expected.dgamma, 1e-13);
    let dbeta = format!("dbeta of {name}");
    assert_close(&dbeta, &got.dbeta, &expected.dbeta, 1e-13);
}

/// The samples of a batch, each as a batch of its own.
fn samples(x: &[f64], shape: &Shape) -> (Shape, Vec<Vec<f64>>) {
    let mut dims = shape.dims().to_vec();
    let len = x.len() / dims[0];
    dims[0] = 1;
    (dims.into(), x.chunks(len).map(<[f64]>::to_vec).collect())
}

#[test]
fn rows_of_layer_norm_are_channels_of_batch_norm() {
    let shape = &Shape::from([4, 3, 5]);
    let (x, dy) = (normals(1, 60), normals(2, 60));
    // Each of the 4 channels that lie first of all is a row of 15.
    let batch = BatchNorm {
        shape,
        axis: 0,
        gamma: None,
        beta: None,
        eps: EPS,
    };
    let layer = LayerNorm {
        shape,
        normalized_dims: 2,
        gamma: None,
        beta: None,
        eps: EPS,
    };
    let (ours, theirs) = (layer.forward(&x), batch.forward(&x));
    assert_close("y", &ours.y, &theirs.y, 1e-14);
    assert_close("rstd", &ours.rstd, &theirs.rstd, 1e-14);
    let (dx, expected) = (layer.backward(&x, &dy).dx, batch.backward(&x, &dy).dx);
    assert_close("dx", &dx, &expected, 1e-14);
    let (sizes, expected) = (layer.magnitudes(&x, &dy).dx, batch.magnitudes(&x, &dy).dx);
    assert_close("the terms of dx", &sizes, &expected, 1e-14);
}

#[test]
fn instances_are_batches_of_one_sample() {
    for (dims, axis) in [([3, 4, 5], 1), ([3, 5, 4], 2)] {
        let shape = &Shape::from(dims);
        let (x, dy) = (normals(3, 60), normals(4, 60));
        let (gamma, beta) = (&normals(5, 4)[..], &normals(6, 4)[..]);
        let layer = InstanceNorm {
            shape,
            axis,
            gamma: Some(gamma),
            beta: Some(beta),
            eps: EPS,
        };
        let (single, xs) = samples(&x, shape);
        let (_, dys) = samples(&dy, shape);
        let alone = BatchNorm {
            shape: &single,
            axis,
            gamma: layer.gamma,
            beta: layer.beta,
            eps: EPS,
        };
        let (mut y, mut var) = (Vec::new(), Vec::new());
        let mut expected = Gradients {
            dx: Vec::new(),
            dgamma: vec![0.0; 4],
            dbeta: vec![0.0; 4],
        };
        for (x, dy) in xs.iter().zip(&dys) {
            let forward = alone.forward(x);
            y.extend(forward.y);
            var.extend(forward.var);
            let gradients = alone.backward(x, dy);
            expected.dx.extend(gradients.dx);
            for c in 0..4 {
                expected.dgamma[c] += gradients.dgamma[c];
                expected.dbeta[c] += gradients.dbeta[c];
            }
        }
        let forward = layer.forward(&x);
        assert_close("y", &forward.y, &y, 1e-14);
        assert_close("var", &forward.var, &var, 1e-14);
        assert_same("instances", &layer.backward(&x, &dy), &expected);
    }
}

#[test]
fn one_group_is_a_row_of_the_whole_sample() {
    let shape = &Shape::from([3, 4, 5]);
    let (x, dy) = (normals(7, 60), normals(8, 60));
    let gamma = normals(9, 4);
    let group = GroupNorm {
        shape,
        axis: 1,
        groups: 1,
        gamma: Some(&gamma),
        beta: None,
        eps: EPS,
    };
    // Layer norm has a gain for every place, of which those of a channel are alike here.
    let gains: Vec<f64> = (0..20).map(|place| gamma[place / 5]).collect();
    let layer = LayerNorm {
        shape,
        normalized_dims: 2,
        gamma: Some(&gains),
        beta: None,
        eps: EPS,
    };
    assert_close("y", &group.forward(&x).y, &layer.forward(&x).y, 1e-14);
    assert_eq!(group.statistics(), layer.statistics());
    let of_channels = |of_places: &[f64]| -> Vec<f64> {
        of_places
            .chunks(5)
            .map(|places| places.iter().sum())
            .collect()
    };
    let got = layer.backward(&x, &dy);
    let expected = Gradients {
        dgamma: of_channels(&got.dgamma),
        dbeta: of_channels(&got.dbeta),
        dx: got.dx,
    };
    assert_same("one group", &group.backward(&x, &dy), &expected);
}

#[test]
fn rms_norm_is_layer_norm_where_the_mean_is_0() {
    let shape = &Shape::from([2, 6]);
    let x = [
        1.0, -1.0, 2.5, -2.5, 4.0, -4.0, 0.5, 0.25, -0.75, 8.0, -8.0, 0.0,
    ];
    let gamma = normals(10, 6);
    let layer = LayerNorm {
        shape,
        normalized_dims: 1,
        gamma: Some(&gamma),
        beta: None,
        eps: EPS,
    };
    let rms = RmsNorm {
        shape,
        normalized_dims: 1,
        gamma: Some(&gamma),
        beta: None,
        eps: EPS,
    };
    assert_close("y", &rms.forward(&x).y, &layer.forward(&x).y, 1e-14);
    // Where nothing was taken off, the sign of x is that of y.
    let minus: Vec<f64> = x.iter().map(|x| -x).collect();
    let y: Vec<f64> = rms.forward(&minus).y.iter().map(|y| -y).collect();
    assert_eq!(y, rms.forward(&x).y);
}

#[test]
fn batch_renorm_that_corrects_nothing_is_batch_norm() {
    let shape = &Shape::from([4, 3, 5]);
    let (x, dy) = (normals(11, 60), normals(12, 60));
    let (gamma, beta) = (normals(13, 3), normals(14, 3));
    let batch = BatchNorm {
        shape,
        axis: 1,
        gamma: Some(&gamma),
        beta: Some(&beta),
        eps: EPS,
    };
    let held = BatchRenorm {
        shape,
        axis: 1,
        gamma: Some(&gamma),
        beta: Some(&beta),
        eps: EPS,
        r_max: 1.0,
        d_max: 0.0,
    };
    let (mean, var) = (&[1.0, -2.0, 0.0][..], &[4.0, 0.1, 1.0][..]);
    assert_close(
        "y",
        &held.forward(&x, mean, var).y,
        &batch.forward(&x).y,
        1e-14,
    );
    let (got, expected) = (held.backward(&x, &dy, mean, var), batch.backward(&x, &dy));
    assert_same("a renorm held", &got, &expected);
    let sizes = held.magnitudes(&x, &dy, mean, var);
    assert_same("the terms", &sizes, &batch.magnitudes(&x, &dy));

    // Without limits it is, forward, evaluation by the running statistics.
    let free = BatchRenorm {
        r_max: f64::INFINITY,
        d_max: f64::INFINITY,
        ..held
    };
    let y = batch.normalize(&x, mean, var);
    assert_close("y", &free.forward(&x, mean, var).y, &y, 1e-13);
}

/// With the signs of dy such that all terms of a sum are positive, the sum is its magnitudes'.
#[test]
fn magnitudes_are_the_sums_where_no_sign_is_negative() {
    let shape = &Shape::from([3, 4, 5]);
    let x = normals(15, 60);
    let layer = GroupNorm {
        shape,
        axis: 1,
        groups: 2,
        gamma: Some(&[0.5, -1.0, 2.0, 3.0]),
        beta: None,
        eps: EPS,
    };
    let dy = normals(16, 60);
    let sizes = layer.magnitudes(&x, &dy);
    let bare = GroupNorm {
        gamma: None,
        ..layer
    };
    let xhat = bare.forward(&x).y;
    let along: Vec<f64> = dy
        .iter()
        .zip(&xhat)
        .map(|(dy, xhat)| dy.abs().copysign(*xhat))
        .collect();
    let dgamma = layer.backward(&x, &along).dgamma;
    assert_close("dgamma", &sizes.dgamma, &dgamma, 1e-14);
    let positive: Vec<f64> = dy.iter().map(|dy| dy.abs()).collect();
    assert_close(
        "dbeta",
        &sizes.dbeta,
        &layer.backward(&x, &positive).dbeta,
        1e-14,
    );
    for (size, dx) in sizes.dx.iter().zip(layer.backward(&x, &dy).dx) {
        assert!(*size >= dx.abs(), "{dx} is left of {size}");
    }
}

#[test]
fn power_iteration_finds_the_largest_singular_value() {
    // Orthogonal rows of norms 3 and 1 make these the singular values, wherever the rows lie.
    let rows = [
        1.0,
        2.0,
        2.0,
        0.0,
        0.0,
        0.5_f64.sqrt(),
        -(0.5_f64.sqrt()),
        0.0,
    ];
    let mut columns = [0.0; 8];
    for (i, weight) in rows.iter().enumerate() {
        columns[i % 4 * 2 + i / 4] = *weight;
    }
    for (dims, dim, weight) in [([2, 4], 0, rows), ([4, 2], 1, columns)] {
        let layer = SpectralNorm {
            shape: &Shape::from(dims),
            dim,
            eps: 1e-12,
        };
        let found = layer.forward(&weight, &[0.6, 0.8], None, 15);
        assert_close("sigma", &[found.sigma], &[3.0], 1e-13);
        assert_close("u", &found.u, &[1.0, 0.0], 1e-12);
        let again = layer.forward(&found.w, &found.u, Some(&found.v), 0);
        assert_close("sigma of w", &[again.sigma], &[1.0], 1e-14);
    }
}

#[test]
fn the_length_of_a_normalized_slice_is_g() {
    let shape = &Shape::from([3, 4, 5]);
    for dim in 0..3 {
        let layer = WeightNorm { shape, dim };
        let g = &[0.5, 1.0, 2.0, 4.0, 8.0][..shape.dims()[dim]];
        let w = layer.forward(&normals(17, 60), g);
        assert_close("the norms of w", &layer.norms(&w), g, 1e-14);
    }
}

#[test]
fn the_statistic_of_every_element() {
    let shape = &Shape::from([2, 2, 2, 2]);
    let (gamma, beta, eps) = (None, None, EPS);
    let rows = LayerNorm {
        shape,
        normalized_dims: 2,
        gamma,
        beta,
        eps,
    };
    assert_eq!(
        rows.statistics(),
        [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]
    );
    let rows = RmsNorm {
        shape,
        normalized_dims: 3,
        gamma,
        beta,
        eps,
    };
    assert_eq!(
        rows.statistics(),
        [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]
    );
    let last = InstanceNorm {
        shape,
        axis: 3,
        gamma,
        beta,
        eps,
    };
    assert_eq!(
        last.statistics(),
        [0, 1, 0, 1, 0, 1, 0, 1, 2, 3, 2, 3, 2, 3, 2, 3]
    );
    // The channel of an element is that of its parameters.
    assert_eq!(
        reference::channels(shape, 3).take(4).collect::<Vec<_>>(),
        [0, 1, 0, 1]
    );
}
