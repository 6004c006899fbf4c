//! What does not fit is refused with both numbers, and in place nothing of it was touched.

use wgnorm::folding::Layer;
use wgnorm::{Error, Shape};

use crate::{norm, normals};

/// The message of a refusal to fold a layer of `shape` into a norm of `channels`.
fn refusal(channels: usize, layer: Layer, shape: &[usize]) -> String {
    let frozen = norm(1, channels, true, true);
    let weight = normals(2, 0, Shape::from(shape).numel());
    let error = frozen.fold(layer, shape, &weight, None).unwrap_err();
    assert!(matches!(error, Error::Shape { .. } | Error::Option { .. }));
    error.to_string()
}

#[test]
fn weights_that_are_not_the_norms() {
    use Layer::{Convolution, Linear, Transposed};
    let grouped = |groups| Transposed { groups };
    for (layer, shape, words) in [
        (Linear, &[5, 3][..], ["6 output channels", "[5, 3]"]),
        (Linear, &[6, 3, 1], ["[out, in]", "[6, 3, 1]"]),
        (Linear, &[], ["[out, in]", "[]"]),
        (Convolution, &[6, 3], ["[out, in / groups, k...]", "[6, 3]"]),
        (Convolution, &[3, 6, 2], ["6 output channels", "[3, 6, 2]"]),
        (grouped(1), &[6, 6], ["[in, out / groups, k...]", "[6, 6]"]),
        (
            grouped(1),
            &[6, 3, 2],
            ["6 output channels in 1 groups", "[6, 3, 2]"],
        ),
        (
            grouped(2),
            &[6, 6, 2],
            ["6 output channels in 2 groups", "[6, 6, 2]"],
        ),
        (
            grouped(2),
            &[5, 3, 2],
            ["a multiple of 2 groups", "[5, 3, 2]"],
        ),
        (grouped(0), &[6, 3, 2], ["groups", "got 0"]),
    ] {
        let message = refusal(6, layer, shape);
        for word in words {
            assert!(
                message.contains(word),
                "{message:?} says nothing of {word:?}"
            );
        }
    }
}

#[test]
fn a_shape_that_overflows_is_refused_or_empty() {
    let frozen = norm(1, 2, false, false);
    let layer = Layer::Transposed { groups: 1 };
    let empty = frozen.fold(layer, [usize::MAX, 2, 0], &[], None).unwrap();
    assert!(empty.weight.is_empty());
    assert_eq!(empty.bias.len(), 2);
    assert!(frozen.fold(layer, [usize::MAX, 2, 2], &[], None).is_err());
    let many = Layer::Transposed { groups: usize::MAX };
    assert!(frozen.fold(many, [usize::MAX, 2, 2], &[], None).is_err());
}

#[test]
fn data_of_another_length_than_its_shape() {
    let frozen = norm(1, 4, true, true);
    let fold = |weight: usize, bias: usize| {
        let (weight, bias) = (normals(2, 0, weight), normals(3, 0, bias));
        frozen.fold(Layer::Linear, [4, 3], &weight, Some(&bias))
    };
    fold(12, 4).unwrap();
    let expect = |got, name, shape, expected, len| {
        let error = Error::Length {
            name,
            shape,
            expected,
            got: len,
        };
        assert_eq!(got, Err(error));
    };
    expect(fold(11, 4), "weight", Shape::from([4, 3]), 12, 11);
    expect(fold(12, 5), "bias", Shape::from([4]), 4, 5);
}

#[test]
fn constants_that_do_not_fit_each_other() {
    let whole = norm(1, 3, true, true);
    let expect = |frozen: &wgnorm::folding::Frozen, name, got| {
        let error = Error::Length {
            name,
            shape: Shape::from([3]),
            expected: 3,
            got,
        };
        assert_eq!(frozen.scale_shift(), Err(error.clone()));
        let folded = frozen.fold(Layer::Linear, [3, 1], &[1.0; 3], None);
        assert_eq!(folded, Err(error));
    };
    let mut frozen = whole.clone();
    frozen.gamma = Some(vec![1.0; 2]);
    expect(&frozen, "gamma", 2);
    let mut frozen = whole.clone();
    frozen.beta = Some(vec![1.0; 4]);
    expect(&frozen, "beta", 4);
    let mut frozen = whole.clone();
    frozen.var.pop();
    expect(&frozen, "running_var", 2);
    for eps in [0.0, -1e-5, f64::NAN, f64::INFINITY] {
        let frozen = wgnorm::folding::Frozen {
            eps,
            ..whole.clone()
        };
        let error = frozen.scale_shift().unwrap_err();
        assert!(
            matches!(error, Error::Option { name: "eps", .. }),
            "{error}"
        );
    }
}

#[test]
fn what_is_refused_in_place_was_not_touched() {
    let frozen = norm(1, 4, true, true);
    let (mut weight, mut bias) = ([1.0; 12], [1.0; 3]);
    let refused = frozen.fold_in_place(Layer::Linear, [4, 3], &mut weight, &mut bias);
    assert!(refused.is_err());
    assert!(
        weight
            .iter()
            .chain(&bias)
            .all(|&value| value.to_bits() == 1.0_f32.to_bits())
    );
}
