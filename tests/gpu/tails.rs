//! What follows a norm in its dispatches: residual and activation, forward and backward, against
//! float64, with every strategy that applies and for both classes of device.

use proptest::prelude::*;
use wgnorm::{
    Activation, BatchNormOptions, BatchRenormOptions, DType, Error, GroupNormOptions,
    InstanceNormOptions, LayerNormOptions, Mode, Momentum, PlanOptions, RmsNormOptions, Shape,
    Statistics, Wanted, functional, functional::Backward,
};

use crate::case::MODES;
use crate::device;
use crate::family::{group, instance, layer, plans, renorm, rms};
use crate::family_case::{ALL_GRADIENTS, Case, Norm};
use crate::others::BINDS_16384;

const TAILS: [(Activation, bool); 3] = [
    (Activation::Relu, false),
    (Activation::Relu, true),
    (Activation::None, true),
];

fn batch(channel_axis: usize) -> Norm {
    Norm::Batch(BatchNormOptions {
        channel_axis,
        ..BatchNormOptions::default()
    })
}

/// Holds the case against float64 with every tail and every plan that applies.
fn check_all(case: &Case) {
    let Some(device) = &device() else { return };
    for (activation, residual) in TAILS {
        let case = case.clone().tailed(activation, residual);
        for plan in plans(device, &case) {
            case.clone().planned(plan).check(device);
        }
    }
}

#[test]
fn batch_norm_of_every_layout_and_mode() {
    for mode in MODES {
        for (shape, axis) in [
            ([4, 6, 8, 8], 1),
            ([4, 8, 8, 6], 3),
            ([3, 5, 7, 7], 1),
            // Words of two channels, as their number is a multiple of four.
            ([4, 5, 7, 7], 1),
            ([3, 7, 7, 5], 3),
            ([2, 3, 9, 4], 2),
            ([2, 16, 14, 14], 1),
        ] {
            let case = Case::new(batch(axis), shape);
            check_all(&Case { mode, ..case });
        }
        for shape in [[64, 32], [9, 3], [200, 1], [2, 513], [300, 50]] {
            let case = Case::new(batch(1), shape);
            check_all(&Case { mode, ..case });
        }
    }
}

#[test]
fn in_place() {
    let Some(device) = &device() else { return };
    for (activation, residual) in [(Activation::None, false)].into_iter().chain(TAILS) {
        for (norm, shape) in [
            (batch(3), &[4, 8, 8, 6][..]),
            (batch(1), &[4, 5, 7, 7]),
            (group(2, 1), &[4, 6, 5, 5]),
            (instance(1), &[4, 6, 5, 5]),
            (renorm(1), &[4, 8, 3, 4]),
            (layer(1), &[6, 64]),
            (rms(1), &[3, 8200]),
        ] {
            let case = Case::new(norm, shape).tailed(activation, residual);
            for plan in plans(device, &case) {
                case.clone().planned(plan).check_in_place(device);
            }
        }
    }
}

#[test]
fn relatives_of_every_form() {
    let layer = |normalized_dims| {
        Norm::Layer(LayerNormOptions {
            normalized_dims,
            ..LayerNormOptions::default()
        })
    };
    for rows in [[33, 64], [70, 17], [3, 5000]] {
        check_all(&Case::new(layer(1), rows));
    }
    check_all(&Case::new(Norm::Rms(RmsNormOptions::default()), [33, 64]));
    check_all(&Case::new(layer(2), [6, 4, 10]));
    for (channel_axis, shape) in [(1, [3, 8, 6, 6]), (3, [3, 6, 6, 8]), (1, [2, 8, 7, 7])] {
        check_all(&Case::new(
            Norm::Group(GroupNormOptions {
                groups: 4,
                channel_axis,
                ..GroupNormOptions::default()
            }),
            shape,
        ));
        let instance = Norm::Instance(InstanceNormOptions {
            channel_axis,
            ..InstanceNormOptions::default()
        });
        for mode in [Mode::TRAIN, Mode::EVAL, Mode::RECOMPUTE] {
            let case = Case::new(instance.clone(), shape);
            check_all(&Case { mode, ..case });
        }
        check_all(&Case::new(
            Norm::Renorm(BatchRenormOptions {
                channel_axis,
                ..BatchRenormOptions::default()
            }),
            shape,
        ));
    }
}

#[test]
fn a_cumulative_mean_counts_with_a_residual() {
    for shape in [[40, 16], [7, 3]] {
        check_all(&Case::new(
            Norm::Batch(BatchNormOptions {
                momentum: Momentum::Cumulative,
                ..BatchNormOptions::default()
            }),
            shape,
        ));
    }
}

#[test]
fn gates_of_slices_and_of_many_words() {
    // Several slices, more words for a lane than one word of gates holds, and windows of neither.
    for (shape, axis) in [
        ([8, 2, 64, 96], 1),
        ([8, 64, 96, 2], 3),
        ([1, 1, 300, 333], 1),
        ([5, 40, 41, 24], 3),
        ([2, 3, 101, 103], 1),
        ([4, 3, 101, 103], 1),
    ] {
        for mode in [Mode::TRAIN, Mode::EVAL] {
            let case = Case::new(batch(axis), shape);
            check_all(&Case { mode, ..case });
        }
    }
}

#[test]
fn the_gradient_by_a_residual_may_stay_unasked() {
    let Some(device) = &device() else { return };
    for (shape, axis) in [
        ([4, 6, 8, 8], 1),
        ([4, 8, 8, 6], 3),
        // Here dx has to take dy where it passed first.
        ([4, 5, 7, 7], 1),
    ] {
        let case = Case::new(batch(axis), shape).tailed(Activation::Relu, true);
        let wanted = Wanted {
            dresidual: false,
            ..ALL_GRADIENTS
        };
        for plan in plans(device, &case) {
            let case = case.clone().planned(plan);
            Case { wanted, ..case }.check(device);
        }
    }
}

/// The gradients of gains of elements are summed from dy where it passed, when dx is written already.
#[test]
fn gains_of_elements_need_the_gradient_by_a_residual() {
    let Some(device) = &device() else { return };
    let options = LayerNormOptions {
        activation: Activation::Relu,
        ..LayerNormOptions::default()
    };
    let shape = Shape::from([8, 64]);
    let len = functional::state_len(device, &shape, &options).unwrap();
    let zeros = |shape: Shape| device.upload(&vec![0.0_f32; shape.numel()], shape).unwrap();
    let [x, dy, dx] = [(); 3].map(|()| zeros(shape.clone()));
    let state = zeros(Shape::from([len]));
    let [gamma, beta] = [(); 2].map(|()| device.upload(&[1.0_f32; 64], [64]).unwrap());
    let dgamma = device.upload(&[0.0_f32; 64], [64]).unwrap();
    let backward = Backward {
        gamma: Some(&gamma),
        beta: Some(&beta),
        dgamma: Some(&dgamma),
        residual: true,
        dx: Some(&dx),
        ..Backward::new(&x, &dy, &state)
    };
    let mut recorder = device.recorder();
    let refused = functional::backward(&mut recorder, &backward, &options, Statistics::Batch);
    let name = "dresidual";
    assert!(
        matches!(refused, Err(Error::Missing { name: n, .. }) if n == name),
        "{refused:?}"
    );
}

#[test]
fn windows_have_gates_of_their_own() {
    let Some(device) = &BINDS_16384.get() else {
        return;
    };
    let mut checked = 0;
    for (shape, axis) in [
        (&[12, 3, 333][..], 1),
        (&[20, 3, 128], 1),
        (&[4, 3, 3333], 1),
        (&[2, 2, 5001], 1),
        (&[1, 2, 6000], 1),
        (&[100, 64], 1),
        (&[9, 13, 17, 12], 3),
    ] {
        let case = Case::new(batch(axis), shape);
        let bytes = 4 * case.shape.numel() as u64;
        assert!(bytes > device.limits().max_binding_bytes, "{case:?}");
        for (activation, residual) in TAILS {
            let case = case.clone().tailed(activation, residual);
            for plan in plans(device, &case) {
                let case = case.clone().planned(plan);
                // Gates of many words do not fit one binding.
                if case.state_len(device).is_ok() {
                    case.check(device);
                    checked += usize::from(activation == Activation::Relu && residual);
                }
            }
        }
    }
    assert!(checked > 20, "{checked}");
}

#[test]
fn activations_of_16_bits() {
    for dtype in [DType::F16, DType::Bf16] {
        for (shape, axis) in [
            ([2, 6, 8, 8], 1),
            ([2, 8, 8, 6], 3),
            ([3, 5, 7, 7], 1),
            ([3, 7, 7, 5], 3),
        ] {
            let case = Case::new(batch(axis), shape);
            check_all(&Case { dtype, ..case });
        }
        let layer = Norm::Layer(LayerNormOptions::default());
        for rows in [[9, 64], [9, 17]] {
            let case = Case::new(layer.clone(), rows);
            check_all(&Case { dtype, ..case });
        }
        let instance = Norm::Instance(InstanceNormOptions::default());
        let case = Case::new(instance, [3, 3, 5, 5]);
        check_all(&Case { dtype, ..case });
    }
}

#[test]
fn the_gate_is_closed_at_zero() {
    let Some(device) = &device() else { return };
    for (shape, axis) in [([2, 4, 8, 8], 1), ([2, 8, 8, 4], 3), ([1, 4, 40, 80], 1)] {
        for residual in [false, true] {
            let case = Case::new(batch(axis), shape).tailed(Activation::Relu, residual);
            for plan in plans(device, &case) {
                let case = case.clone().planned(plan);
                let mut inputs = case.inputs();
                inputs.x.fill(3.0);
                inputs.beta.fill(0.0);
                inputs.residual.fill(0.0);
                let got = case.run(device, &inputs);
                let zero = |values: &[f32]| values.iter().all(|&v| v == 0.0);
                assert!(zero(&got.y) && zero(&got.dx), "{case:?}");
                assert!(zero(&got.dbeta) && zero(&got.dresidual), "{case:?}");
            }
        }
    }
}

#[test]
fn a_nan_passes_an_activation() {
    let Some(device) = &device() else { return };
    let case = Case::new(batch(1), [2, 3, 8, 8]).tailed(Activation::Relu, true);
    // With its sign set it has the bits of a number that lies below minus infinity.
    for (plan, nan) in plans(device, &case)
        .into_iter()
        .flat_map(|plan| [0x7fc0_0000, 0xffc0_0000].map(|bits| (plan, f32::from_bits(bits))))
    {
        let case = case.clone().planned(plan);
        let mut inputs = case.inputs();
        inputs.residual[70] = nan;
        let got = case.run(device, &inputs);
        let nans: Vec<_> = (0..got.y.len()).filter(|&i| got.y[i].is_nan()).collect();
        assert_eq!(nans, [70], "{case:?}");
        assert_eq!(got.dresidual[70].to_bits(), 0, "{case:?}");
    }
}

#[test]
fn the_gate_keeps_its_accuracy_far_from_zero() {
    for offset in [1e3, 1e5] {
        for (shape, axis) in [([4, 6, 8, 8], 1), ([64, 6, 1, 1], 1)] {
            let case = Case::new(batch(axis), shape);
            check_all(&Case { offset, ..case });
        }
    }
}

fn shapes() -> impl Strategy<Value = (Shape, usize)> {
    let dims = proptest::collection::vec(1usize..14, 2..5);
    dims.prop_flat_map(|dims| {
        let axes = 0..dims.len();
        (Just(Shape::from(dims)), axes)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn random_shapes((shape, axis) in shapes(), seed in any::<u64>(), mode in 0usize..4) {
        let case = Case::new(batch(axis), shape);
        let case = Case { seed, mode: MODES[mode], ..case };
        // A gradient of fewer terms is held by its own rounding, not by a bound for sums.
        if case.values() >= 16 {
            check_all(&case);
        }
    }
}

/// Where lanes that ask for gates go through other words than those that kept them, a first dispatch
/// reduces dy; in the place of x it would take from the next one what that reads, and in that of dy it would
/// bind one place twice.
#[test]
fn gated_gradients_never_take_the_place_of_an_input() {
    let Some(device) = &device() else { return };
    let shape = Shape::from([4, 3, 5, 5]);
    let options = BatchNormOptions {
        activation: Activation::Relu,
        plan: PlanOptions {
            strategy: Some(wgnorm::Strategy::SplitRows),
            class: None,
        },
        ..BatchNormOptions::default()
    };
    let wave = |step: f32| -> Vec<f32> { (0..300).map(|i| (step * i as f32).sin()).collect() };
    let [x, dy, residual] = [1.1, 0.7, 0.3].map(|step| device.upload(&wave(step), &shape).unwrap());
    let y = device.empty(&shape, DType::F32).unwrap();
    let len = functional::state_len(device, &shape, &options).unwrap();
    let state = device.empty([len], DType::F32).unwrap();
    let forward = functional::Forward {
        state: Some(&state),
        residual: Some(&residual),
        ..functional::Forward::new(&x, &y)
    };
    let backward = Backward {
        dx: Some(&x),
        residual: true,
        ..Backward::new(&x, &dy, &state)
    };
    let mut step = device.recorder();
    functional::forward(&mut step, &forward, &options, Mode::RECOMPUTE).unwrap();
    for input in [&x, &dy] {
        let backward = Backward {
            dx: Some(input),
            ..backward
        };
        let refused = functional::backward(&mut step, &backward, &options, Statistics::Batch);
        let name = "dresidual";
        assert!(
            matches!(refused, Err(Error::Missing { name: n, .. }) if n == name),
            "{refused:?}"
        );
    }
    let dresidual = device.empty(&shape, DType::F32).unwrap();
    let with = Backward {
        dresidual: Some(&dresidual),
        ..backward
    };
    let apart = device.empty(&shape, DType::F32).unwrap();
    let elsewhere = Backward {
        dx: Some(&apart),
        ..with
    };
    functional::backward(&mut step, &elsewhere, &options, Statistics::Batch).unwrap();
    functional::backward(&mut step, &with, &options, Statistics::Batch).unwrap();
    step.submit().unwrap();
    let bits = |tensor| device.download::<f32>(tensor).unwrap();
    assert_eq!(bits(&x), bits(&apart));
}
