//! What the other norms do at their edges, and which arguments they refuse.

use wgnorm::Shape;
use wgnorm::reference::{BatchRenorm, GroupNorm, LayerNorm, SpectralNorm, WeightNorm};

use crate::properties::assert_refused;

const EPS: f64 = 1e-3;

#[test]
fn a_weight_of_zeros_has_zero_vectors_instead_of_nan() {
    let layer = SpectralNorm {
        shape: &Shape::from([2, 3]),
        dim: 0,
        eps: 1e-12,
    };
    let found = layer.forward(&[0.0; 6], &[0.6, 0.8], None, 1);
    assert_eq!(
        (found.u, found.v, found.sigma),
        (vec![0.0; 2], vec![0.0; 3], 0.0)
    );
}

#[test]
fn one_value_becomes_beta_and_no_sample_gives_no_gradient() {
    let row = LayerNorm {
        shape: &Shape::from([2, 1]),
        normalized_dims: 1,
        gamma: None,
        beta: Some(&[3.0]),
        eps: EPS,
    };
    assert_eq!(row.forward(&[0.1, -7.0]).y, [3.0, 3.0]);
    assert_eq!(row.backward(&[0.1, -7.0], &[1.0, 2.0]).dx, [0.0, 0.0]);

    let empty = GroupNorm {
        shape: &Shape::from([0, 4, 2]),
        axis: 1,
        groups: 2,
        gamma: None,
        beta: None,
        eps: EPS,
    };
    assert!(empty.forward(&[]).y.is_empty());
    let gradients = empty.backward(&[], &[]);
    assert!(gradients.dx.is_empty());
    assert_eq!(
        (gradients.dgamma, gradients.dbeta),
        (vec![0.0; 4], vec![0.0; 4])
    );
    let renorm = BatchRenorm {
        shape: &Shape::from([0, 2]),
        axis: 1,
        gamma: None,
        beta: None,
        eps: EPS,
        r_max: 3.0,
        d_max: 5.0,
    };
    let gradients = renorm.backward(&[], &[], &[0.0; 2], &[1.0; 2]);
    assert_eq!(
        (gradients.dgamma, gradients.dbeta),
        (vec![0.0; 2], vec![0.0; 2])
    );
}

#[test]
fn norms_of_samples_refuse_by_name() {
    let shape = &Shape::from([2, 4, 3]);
    let x = &[0.0; 24][..];
    let some = Some(&[1.0; 5][..]);
    let rows = LayerNorm {
        shape,
        normalized_dims: 2,
        gamma: None,
        beta: None,
        eps: EPS,
    };
    let groups = GroupNorm {
        shape,
        axis: 1,
        groups: 2,
        gamma: None,
        beta: None,
        eps: EPS,
    };
    assert_refused("of x", || rows.forward(&x[1..]));
    assert_refused("of dy", || rows.backward(x, &x[1..]));
    assert_refused("of dy", || rows.magnitudes(x, &x[1..]));
    assert_refused("of gamma", || {
        LayerNorm {
            gamma: some,
            ..rows
        }
        .forward(x)
    });
    assert_refused("of beta", || LayerNorm { beta: some, ..rows }.forward(x));
    for normalized_dims in [0, 4] {
        assert_refused("normalized_dims", || {
            LayerNorm {
                normalized_dims,
                ..rows
            }
            .forward(x)
        });
    }
    assert_refused("of gamma", || {
        GroupNorm {
            gamma: some,
            ..groups
        }
        .forward(x)
    });
    for count in [0, 3, 8] {
        assert_refused("groups of 4", || {
            GroupNorm {
                groups: count,
                ..groups
            }
            .forward(x)
        });
    }
    for axis in [0, 3] {
        assert_refused("channel axis", || GroupNorm { axis, ..groups }.forward(x));
    }
}

#[test]
fn norms_of_batches_refuse_by_name() {
    let shape = &Shape::from([2, 4, 3]);
    let x = &[0.0; 24][..];
    let some = Some(&[1.0; 5][..]);
    let renorm = BatchRenorm {
        shape,
        axis: 1,
        gamma: None,
        beta: None,
        eps: EPS,
        r_max: 3.0,
        d_max: 5.0,
    };
    let (c, wrong) = (&[1.0; 4][..], &[1.0; 5][..]);
    assert_refused("of running_mean", || renorm.forward(x, wrong, c));
    assert_refused("of running_var", || renorm.forward(x, c, wrong));
    assert_refused("of gamma", || {
        BatchRenorm {
            gamma: some,
            ..renorm
        }
        .backward(x, x, c, c)
    });
    assert_refused("of beta", || {
        BatchRenorm {
            beta: some,
            ..renorm
        }
        .forward(x, c, c)
    });
    assert_refused("of dy", || renorm.backward(x, &x[1..], c, c));
    assert_refused("of dy", || renorm.magnitudes(x, &x[1..], c, c));
    assert_refused("r_max is 0.5", || {
        BatchRenorm {
            r_max: 0.5,
            ..renorm
        }
        .forward(x, c, c)
    });
    assert_refused("d_max is -1", || {
        BatchRenorm {
            d_max: -1.0,
            ..renorm
        }
        .forward(x, c, c)
    });
}

#[test]
fn norms_of_weights_refuse_by_name() {
    let shape = &Shape::from([2, 3]);
    let (weight, rows, columns) = (&[1.0; 6][..], &[1.0; 2][..], &[1.0; 3][..]);
    let lengths = WeightNorm { shape, dim: 0 };
    assert_refused("of v", || lengths.forward(rows, rows));
    assert_refused("of g", || lengths.forward(weight, columns));
    assert_refused("of g", || lengths.backward(weight, columns, weight));
    assert_refused("of dw", || lengths.backward(weight, rows, rows));
    assert_refused("of dw", || lengths.magnitudes(weight, rows, rows));
    assert_refused("axis 2", || {
        WeightNorm { shape, dim: 2 }.forward(weight, rows)
    });
    let values = SpectralNorm {
        shape,
        dim: 0,
        eps: 1e-12,
    };
    assert_refused("of weight", || values.forward(rows, rows, None, 1));
    assert_refused("of u", || values.forward(weight, columns, None, 1));
    assert_refused("of v", || values.forward(weight, rows, Some(rows), 1));
    assert_refused("of u", || values.backward(weight, columns, columns, weight));
    assert_refused("of v", || values.backward(weight, rows, rows, weight));
    assert_refused("of dw", || values.backward(weight, rows, columns, rows));
    assert_refused("of dw", || values.magnitudes(weight, rows, columns, rows));
}
