//! The gradients of the other norms against central finite differences of their own forward.

use wgnorm::Shape;
use wgnorm::reference::{
    BatchNorm, BatchRenorm, Gradients, GroupNorm, InstanceNorm, LayerNorm, RmsNorm, SpectralNorm,
    WeightNorm,
};

use crate::differences::central_differences;
use crate::{assert_close, normals};

/// Large enough that a wrong place for it shows.
const EPS: f64 = 0.1;

/// gamma and beta.
type Parameters<'a> = (Option<&'a [f64]>, Option<&'a [f64]>);

/// A mean away from 0 makes every term count that it enters.
fn input(shape: &Shape) -> Vec<f64> {
    let normals = normals(100, shape.numel());
    normals.iter().map(|x| x + 3.0).collect()
}

fn sum_of_products(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Holds all three gradients, as `backward` makes them of x and dy, against central differences of
/// `Σ dy·y`, where `forward` makes y of x; with gamma and beta, `parameters` entries each, and
/// without both.
fn check_gradients(
    name: &str,
    shape: &Shape,
    parameters: usize,
    forward: impl Fn(&[f64], Parameters) -> Vec<f64>,
    backward: impl Fn(&[f64], &[f64], Parameters) -> Gradients,
) {
    let (x, dy) = (&input(shape)[..], &normals(200, shape.numel())[..]);
    let (gamma, beta) = (&normals(300, parameters)[..], &normals(400, parameters)[..]);
    let value = |x: &[f64], parameters: Parameters| sum_of_products(dy, &forward(x, parameters));
    let check = |gradient: &str, got: &[f64], expected: &[f64]| {
        let name = format!("{gradient} of {name} of {shape}");
        assert_close(&name, got, expected, 1e-8);
    };

    let got = backward(x, dy, (Some(gamma), Some(beta)));
    let dx = central_differences(x, |x| value(x, (Some(gamma), Some(beta))));
    check("dx", &got.dx, &dx);
    let dgamma = central_differences(gamma, |gamma| value(x, (Some(gamma), Some(beta))));
    check("dgamma", &got.dgamma, &dgamma);
    let dbeta = central_differences(beta, |beta| value(x, (Some(gamma), Some(beta))));
    check("dbeta", &got.dbeta, &dbeta);

    let got = backward(x, dy, (None, None));
    let dx = central_differences(x, |x| value(x, (None, None)));
    check("dx without gamma", &got.dx, &dx);
    let ones = vec![1.0; parameters];
    let dgamma = central_differences(&ones, |gamma| value(x, (Some(gamma), None)));
    check("dgamma without gamma", &got.dgamma, &dgamma);
}

/// Shapes with how many dimensions make a row, the elements of a row, and so of gamma.
const ROWS: [(&[usize], usize, usize); 6] = [
    (&[5, 3], 1, 3),
    (&[5, 3], 2, 15),
    (&[7], 1, 7),
    (&[2, 3, 4], 1, 4),
    (&[2, 3, 4], 2, 12),
    (&[2, 1, 3, 1, 2], 3, 6),
];

#[test]
fn layer_norm() {
    for (dims, normalized_dims, parameters) in ROWS {
        let shape = &Shape::from(dims);
        let plain = LayerNorm {
            shape,
            normalized_dims,
            gamma: None,
            beta: None,
            eps: EPS,
        };
        check_gradients(
            "layer norm",
            shape,
            parameters,
            |x, (gamma, beta)| {
                LayerNorm {
                    gamma,
                    beta,
                    ..plain
                }
                .forward(x)
                .y
            },
            |x, dy, (gamma, beta)| {
                LayerNorm {
                    gamma,
                    beta,
                    ..plain
                }
                .backward(x, dy)
            },
        );
    }
}

#[test]
fn rms_norm() {
    for (dims, normalized_dims, parameters) in ROWS {
        let shape = &Shape::from(dims);
        let plain = RmsNorm {
            shape,
            normalized_dims,
            gamma: None,
            beta: None,
            eps: EPS,
        };
        check_gradients(
            "RMS norm",
            shape,
            parameters,
            |x, (gamma, beta)| {
                RmsNorm {
                    gamma,
                    beta,
                    ..plain
                }
                .forward(x)
                .y
            },
            |x, dy, (gamma, beta)| {
                RmsNorm {
                    gamma,
                    beta,
                    ..plain
                }
                .backward(x, dy)
            },
        );
    }
}

#[test]
fn group_norm() {
    // Channels first, in the middle and last, one group, some, and as many as channels.
    let cases: [(&[usize], usize, usize); 6] = [
        (&[2, 6, 3], 1, 3),
        (&[3, 2, 4], 2, 2),
        (&[2, 2, 4, 3], 2, 2),
        (&[3, 4], 1, 2),
        (&[2, 3, 2], 1, 1),
        (&[2, 2, 3], 2, 3),
    ];
    for (dims, axis, groups) in cases {
        let shape = &Shape::from(dims);
        let plain = GroupNorm {
            shape,
            axis,
            groups,
            gamma: None,
            beta: None,
            eps: EPS,
        };
        check_gradients(
            &format!("{groups} groups along {axis}"),
            shape,
            dims[axis],
            |x, (gamma, beta)| {
                GroupNorm {
                    gamma,
                    beta,
                    ..plain
                }
                .forward(x)
                .y
            },
            |x, dy, (gamma, beta)| {
                GroupNorm {
                    gamma,
                    beta,
                    ..plain
                }
                .backward(x, dy)
            },
        );
    }
}

#[test]
fn instance_norm() {
    let cases: [(&[usize], usize); 4] = [
        (&[2, 3, 4], 1),
        (&[2, 4, 3], 2),
        (&[1, 2, 2, 3, 2], 2),
        (&[3, 1, 5], 1),
    ];
    for (dims, axis) in cases {
        let shape = &Shape::from(dims);
        let plain = InstanceNorm {
            shape,
            axis,
            gamma: None,
            beta: None,
            eps: EPS,
        };
        check_gradients(
            &format!("instances along {axis}"),
            shape,
            dims[axis],
            |x, (gamma, beta)| {
                InstanceNorm {
                    gamma,
                    beta,
                    ..plain
                }
                .forward(x)
                .y
            },
            |x, dy, (gamma, beta)| {
                InstanceNorm {
                    gamma,
                    beta,
                    ..plain
                }
                .backward(x, dy)
            },
        );
    }
}

#[test]
fn batch_renorm_with_constant_r_and_d() {
    // Limits that clip nothing, some channels, and all of them.
    for (r_max, d_max) in [(1e3, 1e3), (1.5, 0.5), (1.0, 0.0)] {
        for (dims, axis) in [(&[4, 3, 2][..], 1), (&[3, 2, 5], 2), (&[4, 6], 0)] {
            let (shape, channels) = (&Shape::from(dims), dims[axis]);
            let plain = BatchRenorm {
                shape,
                axis,
                gamma: None,
                beta: None,
                eps: EPS,
                r_max,
                d_max,
            };
            let mean: Vec<f64> = normals(1, channels).iter().map(|m| m + 2.5).collect();
            let var: Vec<f64> = normals(2, channels).iter().map(|v| 0.5 + v * v).collect();
            let at_x = plain.forward(&input(shape), &mean, &var);
            // The forward, but with r and d of the x where the gradient is taken: as batch norm
            // with other gains and offsets.
            let forward = |x: &[f64], (gamma, beta): Parameters| {
                let gamma = gamma.map_or(vec![1.0; channels], <[f64]>::to_vec);
                let beta = beta.map_or(vec![0.0; channels], <[f64]>::to_vec);
                let gains: Vec<f64> = (0..channels).map(|c| gamma[c] * at_x.r[c]).collect();
                let offset = |c: usize| gamma[c] * at_x.d[c] + beta[c];
                let offsets: Vec<f64> = (0..channels).map(offset).collect();
                BatchNorm {
                    shape,
                    axis,
                    gamma: Some(&gains),
                    beta: Some(&offsets),
                    eps: EPS,
                }
                .forward(x)
                .y
            };
            let name = format!("r to {r_max}, d to {d_max} along {axis}");
            check_gradients(&name, shape, channels, forward, |x, dy, (gamma, beta)| {
                BatchRenorm {
                    gamma,
                    beta,
                    ..plain
                }
                .backward(x, dy, &mean, &var)
            });
        }
    }
}

/// Weights with the dimension that has their slices or rows.
const WEIGHTS: [(&[usize], usize); 5] = [
    (&[4, 3], 0),
    (&[4, 3], 1),
    (&[2, 3, 4], 1),
    (&[3, 2, 2, 2], 0),
    (&[6], 0),
];

#[test]
fn weight_norm() {
    for (dims, dim) in WEIGHTS {
        let shape = &Shape::from(dims);
        let layer = WeightNorm { shape, dim };
        let (v, g) = (&input(shape)[..], &normals(1, dims[dim])[..]);
        let dw = &normals(2, shape.numel())[..];
        let value = |v: &[f64], g: &[f64]| sum_of_products(dw, &layer.forward(v, g));
        let got = layer.backward(v, g, dw);
        let dv = central_differences(v, |v| value(v, g));
        assert_close(&format!("dv of {shape}, {dim}"), &got.dv, &dv, 1e-8);
        let dg = central_differences(g, |g| value(v, g));
        assert_close(&format!("dg of {shape}, {dim}"), &got.dg, &dg, 1e-8);
    }
}

#[test]
fn spectral_norm_with_constant_u_and_v() {
    for (dims, dim) in WEIGHTS {
        let shape = &Shape::from(dims);
        let layer = SpectralNorm {
            shape,
            dim,
            eps: 1e-12,
        };
        let (weight, dw) = (
            &normals(1, shape.numel())[..],
            &normals(2, shape.numel())[..],
        );
        // One iteration, so that u and v are not yet those of the weight.
        let found = layer.forward(weight, &normals(3, dims[dim]), None, 1);
        let (u, v) = (&found.u[..], &found.v[..]);
        let value = |weight: &[f64]| {
            let w = layer.forward(weight, u, Some(v), 0).w;
            sum_of_products(dw, &w)
        };
        let got = layer.backward(weight, u, v, dw);
        let dweight = central_differences(weight, value);
        assert_close(&format!("dweight of {shape}, {dim}"), &got, &dweight, 1e-8);
    }
}
