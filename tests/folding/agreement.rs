//! A folded layer does what the layer and then the norm do.

use proptest::prelude::*;
use wgnorm::folding::Folded;
use wgnorm::{Shape, reference};

use crate::convolution::Convolution;
use crate::{norm, normals, wide};

/// One layer with a norm behind it, and what it is run on.
#[derive(Clone, Copy, Debug)]
struct Case {
    layer: Convolution,
    samples: usize,
    size: [usize; 2],
    bias: bool,
    gamma: bool,
    beta: bool,
    seed: u64,
}

const PLAIN: Convolution = Convolution {
    transposed: false,
    dims: 2,
    groups: 1,
    inputs: 3,
    outputs: 4,
    kernel: [3, 2],
    stride: [1, 1],
    padding: [0, 0],
    dilation: [1, 1],
};

/// y of the folded layer, of the layer and the norm, and the size of the terms of each element.
fn run(case: &Case) -> [Vec<f64>; 3] {
    let Case { layer, seed, .. } = case;
    let frozen = norm(*seed, layer.channels(), case.gamma, case.beta);
    let shape = Shape::from(layer.weight_shape());
    let weight = normals(*seed, 10, shape.numel());
    let bias = case.bias.then(|| normals(*seed, 11, layer.channels()));
    let pixels = case.size[0] * case.size[1];
    let x = wide(&normals(
        *seed,
        12,
        case.samples * layer.groups * layer.inputs * pixels,
    ));
    let convolve = |x: &[f64], weight: &[f64], bias: &[f64]| {
        layer.run(case.samples, case.size, x, weight, bias)
    };

    let Folded {
        weight: folded,
        bias: shifts,
    } = frozen
        .fold(layer.layer(), &shape, &weight, bias.as_deref())
        .unwrap();
    let (folded, shifts) = (wide(&folded), wide(&shifts));
    let got = convolve(&x, &folded, &shifts);
    let size = |values: &[f64]| -> Vec<f64> { values.iter().map(|v| v.abs()).collect() };
    let terms = convolve(&size(&x), &size(&folded), &size(&shifts));

    let none = vec![0.0; layer.channels()];
    let bias = bias.map_or(none, |bias| wide(&bias));
    let between = convolve(&x, &wide(&weight), &bias);
    let out = layer.output(case.size);
    let wide_option = |values: &Option<Vec<f32>>| values.as_deref().map(wide);
    let (gamma, beta) = (wide_option(&frozen.gamma), wide_option(&frozen.beta));
    let norm = reference::BatchNorm {
        shape: &Shape::from([case.samples, layer.channels(), out[0], out[1]]),
        axis: 1,
        gamma: gamma.as_deref(),
        beta: beta.as_deref(),
        eps: frozen.eps,
    };
    let want = norm.normalize(&between, &wide(&frozen.mean), &wide(&frozen.var));
    [got, want, terms]
}

/// Holds every element to 1e-6 of its terms, and all of them together to 1e-6 of y.
fn check(case: &Case) {
    let [got, want, terms] = run(case);
    assert_eq!(got.len(), want.len());
    assert!(!got.is_empty(), "{case:?}");
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    for (i, ((got, want), terms)) in got.iter().zip(&want).zip(&terms).enumerate() {
        let error = (got - want).abs();
        assert!(
            error <= 1e-6 * terms,
            "{case:?}: y[{i}] is {got}, unfolded {want}"
        );
    }
    let error = norm(&mut got.iter().zip(&want).map(|(got, want)| got - want));
    // What cancels within a handful of elements is measured by its terms alone.
    let size = norm(&mut want.iter().copied());
    let few = want.len() < 64;
    assert!(
        few || error <= 1e-6 * size,
        "{case:?}: y is off by {:e}",
        error / size
    );
}

/// Every choice of bias, gamma and beta.
fn check_all(layer: Convolution, size: [usize; 2]) {
    for choice in 0..8 {
        check(&Case {
            layer,
            samples: 2,
            size,
            bias: choice & 1 != 0,
            gamma: choice & 2 != 0,
            beta: choice & 4 != 0,
            seed: choice,
        });
    }
}

#[test]
fn linear_layers() {
    let linear = Convolution {
        dims: 0,
        inputs: 7,
        outputs: 33,
        kernel: [1, 1],
        ..PLAIN
    };
    check_all(linear, [1, 1]);
}

#[test]
fn convolutions_in_one_dimension() {
    let one = Convolution {
        dims: 1,
        kernel: [1, 3],
        ..PLAIN
    };
    check_all(one, [1, 16]);
    let strided = Convolution {
        stride: [1, 2],
        padding: [0, 2],
        dilation: [1, 2],
        groups: 3,
        ..one
    };
    check_all(strided, [1, 17]);
}

#[test]
fn convolutions_in_two_dimensions() {
    check_all(PLAIN, [6, 7]);
    let strided = Convolution {
        stride: [2, 2],
        padding: [1, 1],
        ..PLAIN
    };
    check_all(strided, [9, 8]);
    let grouped = Convolution {
        groups: 2,
        dilation: [2, 1],
        ..strided
    };
    check_all(grouped, [9, 8]);
    let depthwise = Convolution {
        groups: 5,
        inputs: 1,
        outputs: 1,
        ..strided
    };
    check_all(depthwise, [9, 8]);
}

#[test]
fn transposed_convolutions() {
    let transposed = Convolution {
        transposed: true,
        stride: [2, 2],
        padding: [1, 0],
        ..PLAIN
    };
    check_all(transposed, [5, 4]);
    let grouped = Convolution {
        groups: 3,
        inputs: 2,
        outputs: 3,
        dilation: [1, 2],
        ..transposed
    };
    check_all(grouped, [5, 4]);
    let one = Convolution {
        dims: 1,
        kernel: [1, 4],
        stride: [1, 2],
        padding: [0, 1],
        ..grouped
    };
    check_all(one, [1, 9]);
}

#[test]
fn the_direct_convolution_is_one() {
    let x = [1.0, 2.0, 3.0, 4.0];
    let layer = Convolution {
        dims: 1,
        inputs: 1,
        outputs: 1,
        kernel: [1, 3],
        padding: [0, 1],
        ..PLAIN
    };
    let y = layer.run(1, [1, 4], &x, &[1.0, 10.0, 100.0], &[0.5]);
    assert_eq!(y, [210.5, 321.5, 432.5, 43.5]);
    let transposed = Convolution {
        transposed: true,
        stride: [1, 2],
        ..layer
    };
    // Without padding: 1 10 102 20 203 30 304 40 400, of which it takes one off each end.
    let y = transposed.run(1, [1, 4], &x, &[1.0, 10.0, 100.0], &[0.5]);
    assert_eq!(y, [10.5, 102.5, 20.5, 203.5, 30.5, 304.5, 40.5]);
}

#[test]
fn in_place_gives_the_same_bits() {
    let layer = Convolution {
        transposed: true,
        groups: 2,
        ..PLAIN
    };
    let frozen = norm(5, layer.channels(), true, true);
    let shape = Shape::from(layer.weight_shape());
    let mut weight = normals(6, 0, shape.numel());
    let mut bias = vec![0.0; layer.channels()];
    let folded = frozen.fold(layer.layer(), &shape, &weight, None).unwrap();
    frozen
        .fold_in_place(layer.layer(), &shape, &mut weight, &mut bias)
        .unwrap();
    assert_eq!(folded, Folded { weight, bias });
}

#[test]
fn a_spoilt_channel_keeps_to_itself() {
    let mut frozen = norm(7, 3, true, true);
    let shape = [3, 2, 1];
    let weight = normals(8, 0, 6);
    let layer = wgnorm::folding::Layer::Convolution;
    let whole = frozen.fold(layer, shape, &weight, None).unwrap();
    frozen.var[1] = -1.0;
    let spoilt = frozen.fold(layer, shape, &weight, None).unwrap();
    assert!(spoilt.bias[1].is_nan() && spoilt.weight[2..4].iter().all(|w| w.is_nan()));
    assert_eq!(spoilt.weight[..2], whole.weight[..2]);
    assert_eq!(spoilt.weight[4..], whole.weight[4..]);
    assert_eq!(
        (spoilt.bias[0], spoilt.bias[2]),
        (whole.bias[0], whole.bias[2])
    );
}

fn layers() -> impl Strategy<Value = Convolution> {
    let pair = |low: usize, high: usize| [low..=high, low..=high];
    let counts = (1..=4_usize, 1..=3_usize, 1..=4_usize);
    let shapes = (pair(1, 3), pair(1, 3), pair(1, 2));
    (any::<bool>(), 0..=2_usize, counts, shapes).prop_map(
        |(transposed, dims, (groups, inputs, outputs), (kernel, stride, dilation))| {
            let spatial = |value: [usize; 2], none| match dims {
                0 => [none; 2],
                1 => [none, value[1]],
                _ => value,
            };
            Convolution {
                // A linear layer has no groups and nothing to transpose.
                transposed: transposed && dims > 0,
                groups: if dims > 0 { groups } else { 1 },
                dims,
                inputs,
                outputs,
                kernel: spatial(kernel, 1),
                stride: spatial(stride, 1),
                padding: spatial([kernel[0] / 2, kernel[1] / 2], 0),
                dilation: spatial(dilation, 1),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn layers_of_any_size(
        layer in layers(),
        samples in 1..=3_usize,
        size in [5..=8_usize, 5..=8_usize],
        (bias, gamma, beta) in any::<(bool, bool, bool)>(),
        seed in any::<u64>(),
    ) {
        let size = match layer.dims {
            0 => [1, 1],
            1 => [1, size[1]],
            _ => size,
        };
        check(&Case { layer, samples, size, bias, gamma, beta, seed });
    }
}
