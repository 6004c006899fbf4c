//! The tail behind every norm: worked out by hand, against central finite differences, and what holds
//! for all values.

use proptest::prelude::*;
use wgnorm::Shape;
use wgnorm::reference::{
    BatchNorm, BatchRenorm, Gradients, GroupNorm, InstanceNorm, LayerNorm, RmsNorm, Tail,
};

use crate::differences::central_differences;
use crate::properties::assert_refused;
use crate::{assert_close, normals};

const RELU: Tail<'static> = Tail {
    residual: None,
    relu: true,
};

#[test]
fn two_values_and_a_residual() {
    let layer = BatchNorm {
        shape: &Shape::from([2, 1]),
        axis: 1,
        gamma: Some(&[2.0]),
        beta: Some(&[10.0]),
        eps: 9.0,
    };
    let residual = &[-9.0, 1.0];
    let tail = Tail {
        residual: Some(residual),
        relu: true,
    };
    // Deviations of ∓4, √(16 + 9) = 5 and gamma 2: normed is 10 ∓ 1.6.
    let x = [1.0, 9.0];
    let y = tail.apply(&layer.forward(&x).y);
    assert_close("y", &y, &[0.0, 12.6], 1e-15);
    // Only the second gate is open: dbeta = 3, dgamma = 3·0.8, and
    // dx = 0.4·(0 − 1.5 + 0.8·1.2, 3 − 1.5 − 0.8·1.2).
    let dresidual = tail.gate(&y, &[5.0, 3.0]);
    assert_eq!(dresidual, [0.0, 3.0]);
    let gradients = layer.backward(&x, &dresidual);
    assert_eq!(gradients.dbeta, [3.0]);
    assert_close("dgamma", &gradients.dgamma, &[2.4], 1e-15);
    assert_close("dx", &gradients.dx, &[-0.216, 0.216], 1e-15);

    // Without an activation nothing is cut off, above or below.
    let sum = Tail {
        residual: Some(residual),
        relu: false,
    };
    let y = sum.apply(&layer.forward(&x).y);
    assert_close("y without relu", &y, &[-0.6, 12.6], 1e-15);
    assert_eq!(sum.gate(&y, &[5.0, 3.0]), [5.0, 3.0]);
}

#[test]
fn the_gate_is_closed_at_the_kink_and_open_above_it() {
    let y = RELU.apply(&[0.0, -0.0, f64::MIN_POSITIVE, -1.0, f64::INFINITY]);
    assert_eq!(y, [0.0, 0.0, f64::MIN_POSITIVE, 0.0, f64::INFINITY]);
    assert_eq!(RELU.gate(&y, &[7.0; 5]), [0.0, 0.0, 7.0, 0.0, 7.0]);
    // What a residual takes back exactly is 0.
    let tail = Tail {
        residual: Some(&[-2.0]),
        relu: true,
    };
    assert_eq!(tail.gate(&tail.apply(&[2.0]), &[1.0]), [0.0]);
}

#[test]
fn nan_stays_in_y_and_closes_its_gate_alone() {
    let y = RELU.apply(&[1.0, f64::NAN, -1.0]);
    assert!(y[1].is_nan());
    assert_eq!((y[0], y[2]), (1.0, 0.0));
    assert_eq!(RELU.gate(&y, &[2.0; 3]), [2.0, 0.0, 0.0]);
    let none = Tail::default();
    assert_eq!(none.gate(&[f64::NAN], &[2.0]), [2.0]);
}

/// A norm with its gamma and beta.
trait Norm {
    fn y(&self, x: &[f64]) -> Vec<f64>;
    fn gradients(&self, x: &[f64], dy: &[f64]) -> Gradients;
}

macro_rules! by_its_own_statistics {
    ($($layer:ident),*) => {$(
        impl Norm for $layer<'_> {
            fn y(&self, x: &[f64]) -> Vec<f64> {
                self.forward(x).y
            }

            fn gradients(&self, x: &[f64], dy: &[f64]) -> Gradients {
                self.backward(x, dy)
            }
        }
    )*};
}

by_its_own_statistics!(BatchNorm, LayerNorm, RmsNorm, GroupNorm, InstanceNorm);

/// Evaluation.
struct Frozen<'a>(BatchNorm<'a>);

/// Running statistics near those of the inputs below.
const NEAR: [[f64; 4]; 2] = [[2.5, 3.0, 3.5, 4.0], [0.5, 1.0, 1.5, 2.0]];

/// So far from them that batch renorm corrects by its limits, and is differentiable.
const FAR: [[f64; 4]; 2] = [[20.0, -20.0, 30.0, -30.0], [0.01, 0.02, 100.0, 200.0]];

impl Norm for Frozen<'_> {
    fn y(&self, x: &[f64]) -> Vec<f64> {
        self.0.normalize(x, &NEAR[0], &NEAR[1])
    }

    fn gradients(&self, x: &[f64], dy: &[f64]) -> Gradients {
        self.0.backward_frozen(x, dy, &NEAR[0], &NEAR[1])
    }
}

impl Norm for BatchRenorm<'_> {
    fn y(&self, x: &[f64]) -> Vec<f64> {
        self.forward(x, &FAR[0], &FAR[1]).y
    }

    fn gradients(&self, x: &[f64], dy: &[f64]) -> Gradients {
        self.backward(x, dy, &FAR[0], &FAR[1])
    }
}

type Parameters<'a> = [&'a [f64]; 2];

/// Makes a norm of a shape and a channel axis with its gamma and beta.
type Make = for<'a> fn(&'a Shape, usize, Parameters<'a>) -> Box<dyn Norm + 'a>;

const EPS: f64 = 0.1;

fn batch<'a>(shape: &'a Shape, axis: usize, [gamma, beta]: Parameters<'a>) -> BatchNorm<'a> {
    BatchNorm {
        shape,
        axis,
        gamma: Some(gamma),
        beta: Some(beta),
        eps: EPS,
    }
}

#[rustfmt::skip]
const NORMS: [(&str, Make); 7] = [
    ("batch norm", |shape, axis, p| Box::new(batch(shape, axis, p))),
    ("frozen batch norm", |shape, axis, p| Box::new(Frozen(batch(shape, axis, p)))),
    ("layer norm", |shape, _, [gamma, beta]| Box::new(LayerNorm {
        shape, normalized_dims: 1, gamma: Some(gamma), beta: Some(beta), eps: EPS,
    })),
    ("RMS norm", |shape, _, [gamma, beta]| Box::new(RmsNorm {
        shape, normalized_dims: 1, gamma: Some(gamma), beta: Some(beta), eps: EPS,
    })),
    ("group norm", |shape, axis, [gamma, beta]| Box::new(GroupNorm {
        shape, axis, groups: 2, gamma: Some(gamma), beta: Some(beta), eps: EPS,
    })),
    ("instance norm", |shape, axis, [gamma, beta]| Box::new(InstanceNorm {
        shape, axis, gamma: Some(gamma), beta: Some(beta), eps: EPS,
    })),
    ("batch renorm", |shape, axis, [gamma, beta]| Box::new(BatchRenorm {
        shape, axis, gamma: Some(gamma), beta: Some(beta), eps: EPS, r_max: 1.5, d_max: 0.5,
    })),
];

/// The tail's backward into the norm's, against central differences of the norm's forward into the
/// tail's, with respect to all that goes in.
fn check_gradients(name: &str, make: Make, dims: [usize; 3], axis: usize, tail: Tail) {
    let shape = &Shape::from(dims);
    // Rows and channels are four long in all shapes.
    let (gamma, beta) = (&normals(300, 4)[..], &normals(400, 4)[..]);
    let x: Vec<f64> = normals(100, shape.numel())
        .iter()
        .map(|x| x + 3.0)
        .collect();
    let dy = &normals(200, shape.numel())[..];
    let forward = |x: &[f64], p: Parameters, tail: Tail| tail.apply(&make(shape, axis, p).y(x));
    let value = |x: &[f64], p: Parameters, tail: Tail| -> f64 {
        let y = forward(x, p, tail);
        dy.iter().zip(&y).map(|(dy, y)| dy * y).sum()
    };
    let (relu, with_residual) = (tail.relu, tail.residual.is_some());
    let name = format!("{name} of {shape} along {axis}, relu {relu}, residual {with_residual}");

    let without = Tail {
        relu: false,
        ..tail
    };
    for before in forward(&x, [gamma, beta], without) {
        assert!(
            before.abs() > 2e-4,
            "{name} has {before}, too near the kink"
        );
    }
    let y = forward(&x, [gamma, beta], tail);
    let open = y.iter().filter(|y| **y > 0.0).count();
    assert!(open > 0 && open < y.len(), "{name}: {open} gates are open");

    let dresidual = tail.gate(&y, dy);
    let got = make(shape, axis, [gamma, beta]).gradients(&x, &dresidual);
    let check = |gradient: &str, got: &[f64], expected: &[f64]| {
        assert_close(&format!("{gradient} of {name}"), got, expected, 1e-8);
    };
    let dx = central_differences(&x, |x| value(x, [gamma, beta], tail));
    check("dx", &got.dx, &dx);
    let dgamma = central_differences(gamma, |gamma| value(&x, [gamma, beta], tail));
    check("dgamma", &got.dgamma, &dgamma);
    let dbeta = central_differences(beta, |beta| value(&x, [gamma, beta], tail));
    check("dbeta", &got.dbeta, &dbeta);
    if let Some(residual) = tail.residual {
        let by_residual = |residual: &[f64]| {
            let residual = Some(residual);
            value(&x, [gamma, beta], Tail { residual, ..tail })
        };
        let expected = central_differences(residual, by_residual);
        check("dresidual", &dresidual, &expected);
    }
}

#[test]
fn gradients_through_tail_and_norm_are_those_of_finite_differences() {
    // Rows of layer and RMS norm are the last dimension, which has as many elements as the channels.
    for (dims, axis) in [([3, 4, 4], 1), ([3, 5, 4], 2)] {
        let residual = normals(500, dims.iter().product());
        for (name, make) in NORMS {
            for relu in [false, true] {
                for residual in [None, Some(&residual[..])] {
                    check_gradients(name, make, dims, axis, Tail { residual, relu });
                }
            }
        }
    }
}

/// Numbers of all kinds, those at the kink and those that are none among them.
fn any_values() -> impl Strategy<Value = Vec<f64>> {
    let special = prop::sample::select(vec![0.0, -0.0, f64::NAN, f64::INFINITY, -f64::INFINITY]);
    prop::collection::vec(prop_oneof![4 => -1e3..1e3, 1 => special], 0..20)
}

proptest! {
    #[test]
    fn a_tail_of_nothing_changes_no_bit(normed in any_values()) {
        let bits = |values: &[f64]| -> Vec<u64> { values.iter().map(|v| v.to_bits()).collect() };
        let none = Tail::default();
        prop_assert_eq!(bits(&none.apply(&normed)), bits(&normed));
        prop_assert_eq!(bits(&none.gate(&normed, &normed)), bits(&normed));
    }

    #[test]
    fn each_gate_opens_for_a_value_or_for_its_opposite(mut values in any_values()) {
        values.retain(|value| !value.is_nan());
        let opposite: Vec<f64> = values.iter().map(|v| -v).collect();
        let (y, other) = (RELU.apply(&values), RELU.apply(&opposite));
        prop_assert!(y.iter().chain(&other).all(|y| *y >= 0.0));
        // relu(v) − relu(−v) is v.
        let differences: Vec<f64> = y.iter().zip(&other).map(|(y, other)| y - other).collect();
        prop_assert_eq!(differences, &values[..]);
        let dy: Vec<f64> = (1..=values.len()).map(|i| i as f64).collect();
        let where_it_is = |open: fn(f64) -> bool| -> Vec<f64> {
            let each = values.iter().zip(&dy);
            each.map(|(value, dy)| if open(*value) { *dy } else { 0.0 }).collect()
        };
        prop_assert_eq!(RELU.gate(&y, &dy), where_it_is(|value| value > 0.0));
        prop_assert_eq!(RELU.gate(&other, &dy), where_it_is(|value| value < 0.0));
    }

    #[test]
    fn the_residual_and_what_it_is_added_to_are_alike(
        pairs in prop::collection::vec((-9.0..9.0, -9.0..9.0), 0..20),
        relu in any::<bool>(),
    ) {
        let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let after = |normed: &[f64], residual: &[f64]| {
            let residual = Some(residual);
            Tail { residual, relu }.apply(normed)
        };
        prop_assert_eq!(after(&a, &b), after(&b, &a));
        let sums: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
        prop_assert_eq!(after(&a, &b), Tail { residual: None, relu }.apply(&sums));
    }
}

#[test]
fn arguments_that_do_not_fit_panic_by_name() {
    for length in [2, 4] {
        let wrong = &vec![1.0; length][..];
        let residual = Some(wrong);
        let tail = Tail {
            residual,
            relu: true,
        };
        assert_refused("of residual", || tail.apply(&[0.0; 3]));
        assert_refused("of dy", || tail.gate(&[0.0; 3], wrong));
    }
}
