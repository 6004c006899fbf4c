//! Masks: batch norm of what is valid against float64 of the same values without the others, which are
//! NaN, with every strategy that applies and for both classes of device.

use proptest::prelude::*;
use wgnorm::functional::{self, Backward};
use wgnorm::{
    Activation, BatchNormOptions, DType, Device, DeviceClass, InstanceNormOptions, Mode, Momentum,
    PlanOptions, RunningVariance, Statistics,
};

use crate::case::MODES;
use crate::device;
use crate::family::plans;
use crate::family_case::{Case, Norm};
use crate::others::{BINDS_4096, BINDS_16384};
use crate::spoilt::{Tensors, expect};

/// What may follow a norm.
pub(crate) const TAILS: [(Activation, bool); 4] = [
    (Activation::None, false),
    (Activation::Relu, false),
    (Activation::Relu, true),
    (Activation::None, true),
];

fn masked(shape: &[usize], channel_axis: usize, share: f64) -> Case {
    let options = BatchNormOptions {
        channel_axis,
        ..BatchNormOptions::default()
    };
    Case {
        mask: Some(share),
        ..Case::new(Norm::Batch(options), shape)
    }
}

/// Holds the case against float64 with every plan that applies.
fn check_all(case: &Case) {
    let Some(device) = &device() else { return };
    let whole = Case {
        mask: None,
        ..case.clone()
    };
    for plan in plans(device, &whole) {
        case.clone().planned(plan).check(device);
    }
}

#[test]
fn every_layout_tail_and_mode() {
    for (activation, residual) in TAILS {
        for (shape, axis) in [
            (&[4, 6, 8, 8][..], 1),
            (&[4, 8, 8, 6], 3),
            (&[3, 5, 7, 7], 1),
            // Words of two channels, as their number is a multiple of four.
            (&[4, 5, 7, 7], 1),
            (&[5, 9, 7], 2),
            (&[40, 16], 1),
        ] {
            check_all(&masked(shape, axis, 0.6).tailed(activation, residual));
        }
    }
    for mode in MODES {
        for (shape, axis) in [
            (&[4, 6, 8, 8][..], 1),
            (&[4, 8, 8, 6], 3),
            (&[4, 5, 7, 7], 1),
            (&[2, 3, 9, 4], 2),
        ] {
            let case = masked(shape, axis, 0.6).tailed(Activation::Relu, true);
            check_all(&Case { mode, ..case });
        }
    }
}

#[test]
fn in_place_in_every_mode() {
    let Some(device) = &device() else { return };
    for mode in MODES {
        for (shape, axis) in [
            (&[4, 6, 8, 8][..], 1),
            (&[4, 8, 8, 6], 3),
            (&[4, 5, 7, 7], 1),
        ] {
            for (activation, residual) in TAILS {
                let case = masked(shape, axis, 0.6).tailed(activation, residual);
                Case { mode, ..case }.check_in_place(device);
            }
        }
    }
}

#[test]
fn masks_of_every_density_and_many_slices() {
    for (shape, axis) in [
        (&[8, 2, 64, 96][..], 1),
        (&[6144, 3], 1),
        (&[5, 40, 41, 24], 3),
        (&[1, 1, 300, 333], 1),
    ] {
        for share in [0.02, 0.5, 1.0] {
            check_all(&masked(shape, axis, share));
        }
    }
}

#[test]
fn means_far_above_the_standard_deviation() {
    for offset in [1e3, 1e5, 1e7] {
        for (shape, axis) in [(&[8, 4, 40, 40][..], 1), (&[8, 40, 40, 4], 3)] {
            for share in [0.01, 0.5] {
                let case = masked(shape, axis, share);
                check_all(&Case { offset, ..case });
            }
        }
    }
}

#[test]
fn a_cumulative_mean_and_activations_of_16_bits() {
    let cumulative = BatchNormOptions {
        momentum: Momentum::Cumulative,
        ..BatchNormOptions::default()
    };
    check_all(&Case {
        mask: Some(0.5),
        ..Case::new(Norm::Batch(cumulative), [9, 6, 5])
    });
    for dtype in [DType::F16, DType::Bf16] {
        for (shape, axis) in [(&[4, 6, 8, 8][..], 1), (&[3, 5, 7, 7], 1), (&[6, 7, 8], 2)] {
            let case = masked(shape, axis, 0.7).tailed(Activation::Relu, true);
            check_all(&Case { dtype, ..case });
        }
    }
}

/// Tensors above one binding: windows of rows, of channels, within one channel, and of columns. Each
/// has positions of its own, and a word may belong to channels of two windows.
const WINDOWED: [(&[usize], usize); 12] = [
    (&[40, 3, 50], 1),
    (&[20, 3, 64], 1),
    (&[8, 3, 111], 1),
    (&[3, 5, 300], 1),
    (&[4, 5, 333], 1),
    (&[2, 3, 1500], 1),
    (&[4, 3, 1501], 1),
    (&[2, 1, 2001], 1),
    (&[1, 1, 5000], 1),
    (&[400, 3], 1),
    (&[600, 4], 1),
    (&[60, 20], 1),
];

/// Pivots of few elements, which a window has none of.
#[test]
fn windows_of_sparse_masks_far_from_zero() {
    let Some(device) = &BINDS_4096.get() else {
        return;
    };
    for (shape, axis) in [(&[4, 3, 1501][..], 1), (&[8, 3, 111], 1), (&[600, 4], 1)] {
        for seed in 1..4 {
            let case = masked(shape, axis, 0.01);
            let offset = 1e4;
            check_windowed(
                device,
                &Case {
                    offset,
                    seed,
                    ..case
                },
            );
        }
    }
}

/// Every plan whose state fits a binding, which gates of many words do not.
fn check_windowed(device: &Device, case: &Case) -> usize {
    let bytes = 4 * case.shape.numel() as u64;
    assert!(bytes > device.limits().max_binding_bytes, "{case:?}");
    let whole = Case {
        mask: None,
        ..case.clone()
    };
    let all = plans(device, &whole).into_iter();
    let fitting = all
        .map(|plan| case.clone().planned(plan))
        .filter(|case| case.state_len(device).is_ok());
    let mut checked = 0;
    for case in fitting {
        case.check(device);
        checked += 1;
    }
    checked
}

#[test]
fn windows_have_positions_of_their_own() {
    let Some(device) = &BINDS_4096.get() else {
        return;
    };
    for (shape, axis) in WINDOWED {
        for mode in [Mode::TRAIN, Mode::EVAL] {
            let case = masked(shape, axis, 0.6);
            assert!(check_windowed(device, &Case { mode, ..case }) > 1);
        }
    }
    let Some(device) = &BINDS_16384.get() else {
        return;
    };
    for (activation, residual) in TAILS {
        let mut checked = 0;
        for (shape, axis) in [
            (&[12, 3, 333][..], 1),
            (&[4, 3, 3333], 1),
            (&[2, 2, 5001], 1),
            (&[9, 13, 17, 12], 3),
        ] {
            let case = masked(shape, axis, 0.6).tailed(activation, residual);
            checked += check_windowed(device, &case);
        }
        assert!(checked > 12, "{checked}");
    }
}

#[test]
fn the_biased_variance_of_what_is_valid() {
    for (shape, axis) in [(&[4, 6, 2, 2][..], 1), (&[16, 6], 1)] {
        for mode in [MODES[0], MODES[3]] {
            let mut case = masked(shape, axis, 0.6);
            if let Norm::Batch(options) = &mut case.norm {
                options.running_variance = RunningVariance::Biased;
            }
            check_all(&Case { mode, ..case });
        }
    }
}

/// A batch whose sequences end early: most of what follows is empty slices.
#[test]
fn sequences_of_different_lengths() {
    let Some(device) = &device() else { return };
    for (shape, axis) in [([6, 5, 4000], 1), ([6, 4000, 5], 2)] {
        let case = masked(&shape, axis, 1.0);
        for class in [DeviceClass::Cpu, DeviceClass::Gpu] {
            let case = case.clone().planned(PlanOptions {
                class: Some(class),
                ..PlanOptions::default()
            });
            let lengths = [3, 0, 4000, 1, 700, 2];
            let mask = lengths
                .iter()
                .flat_map(|&len| (0..4000).map(move |i| u32::from(i < len)));
            let inputs = case.inputs().masked(mask.collect(), &case);
            case.check_with(device, &inputs);
        }
    }
}

#[test]
fn fewer_than_two_valid_elements_give_beta_and_move_nothing() {
    let Some(device) = &device() else { return };
    for (shape, axis) in [(&[2, 4, 6, 6][..], 1), (&[2, 6, 6, 4], 3)] {
        let case = masked(shape, axis, 1.0);
        for plan in plans(
            device,
            &Case {
                mask: None,
                ..case.clone()
            },
        ) {
            let case = case.clone().planned(plan);
            let positions = case.positions(axis);
            for valid in [None, Some(0), Some(41)] {
                let mut mask = vec![0; 72];
                if let Some(position) = valid {
                    mask[position] = 1;
                }
                let inputs = case.inputs().masked(mask, &case);
                let got = case.run(device, &inputs);
                assert_eq!(got.running_mean, inputs.running_mean, "{case:?}");
                assert_eq!(got.running_var, inputs.running_var, "{case:?}");
                let channels = wgnorm::reference::channels(&case.shape, axis);
                for (i, c) in channels.enumerate() {
                    let is_valid = Some(positions[i]) == valid;
                    let y = if is_valid { inputs.beta[c] } else { 0.0 };
                    assert_eq!(got.y[i].to_bits(), y.to_bits(), "{case:?}");
                    assert_eq!(got.dx[i], 0.0, "{case:?}");
                    let dbeta: f32 = if is_valid { inputs.dy[i] } else { 0.0 };
                    if is_valid || valid.is_none() {
                        assert_eq!(got.dbeta[c], dbeta, "{case:?}");
                        assert_eq!(got.dgamma[c], 0.0, "{case:?}");
                    }
                }
            }
        }
    }
}

/// By running statistics an instance norm's backward is batch norm's, but its forward took no mask.
#[test]
fn the_backward_of_another_norm_knows_no_mask() {
    let Some(device) = &device() else { return };
    let tensors = Tensors::new(device);
    let masked = Backward {
        masked: true,
        dx: Some(&tensors.y),
        ..Backward::new(&tensors.x, &tensors.dy, &tensors.state)
    };
    for statistics in [Statistics::Running, Statistics::Batch] {
        let mut recorder = device.recorder();
        let options = InstanceNormOptions::default();
        let refused = functional::backward(&mut recorder, &masked, &options, statistics);
        expect(refused, &["mask: expected none, but for batch norm"]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn random_shapes_and_masks(
        dims in proptest::collection::vec(1usize..14, 2..5),
        axis in 0usize..4,
        seed in any::<u64>(),
        mode in 0usize..4,
        tail in 0usize..4,
        share in 0.2f64..1.0,
    ) {
        let (activation, residual) = TAILS[tail];
        let case = masked(&dims, axis % dims.len(), share).tailed(activation, residual);
        let case = Case { seed, mode: MODES[mode], ..case };
        // A gradient of fewer terms is held by its own rounding, not by a bound for sums.
        if case.inputs().mask.iter().sum::<u32>() >= 16 {
            check_all(&case);
        }
    }
}
