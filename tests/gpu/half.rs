//! Activations of 16 bits: every strategy, layout and norm, odd sizes and windows.

use proptest::prelude::*;
use wgnorm::{DType, Device, DeviceClass, Mode, PlanOptions, functional, reference};

use crate::bounds::{check, l2};
use crate::case::Case;
use crate::case::MODES;
use crate::family::{self, group, instance, layer, renorm, rms};
use crate::family_case::Case as Relative;
use crate::others::{BINDS_1024, BINDS_4096, WITHOUT_FEATURES};
use crate::places::{self, Run};
use crate::stored::{self, HALVES};
use crate::{device, plans};

/// The case with all strategies that apply for both classes of device. The types differ in nothing but how
/// they are packed, so each plan has one of them, in turn.
fn all(device: &Device, shape: &[usize], axis: usize) -> Vec<Case> {
    let case = Case::new(shape, axis);
    let half = Case {
        dtype: DType::F16,
        ..case.clone()
    };
    let turn = case.n();
    let planned = |(i, plan): (usize, PlanOptions)| Case {
        dtype: HALVES[(turn + i) % 2],
        ..case.clone().planned(plan)
    };
    let plans = plans::forced(device, &half);
    plans.into_iter().enumerate().map(planned).collect()
}

fn check_all(shape: &[usize], axis: usize) {
    let Some(device) = &device() else { return };
    for case in all(device, shape, axis) {
        check(device, &case);
    }
}

/// Shapes whose words are whole, of two elements, and shared by two channels or samples.
const SHAPES: [(&[usize], usize); 8] = [
    (&[4, 3, 16, 16], 1),
    (&[4, 2, 5, 5], 1),
    (&[5, 3, 7, 7], 1),
    (&[3, 2, 3, 6], 1),
    (&[9, 50], 1),
    (&[31, 33], 1),
    (&[40, 64], 1),
    (&[3, 5, 3, 5], 2),
];

#[test]
fn row_lengths_around_every_boundary() {
    for inner in [1, 2, 3, 4, 5, 7, 9, 32, 33, 127, 257, 1024, 1025] {
        check_all(&[3, 3, inner], 1);
    }
    for inner in [4093, 4096, 8192, 8194, 8196] {
        check_all(&[1, 2, inner], 1);
    }
}

#[test]
fn row_counts_around_every_boundary() {
    for outer in [2, 3, 8, 33, 127, 257] {
        check_all(&[outer, 3, 5], 1);
        check_all(&[outer, 2, 16], 1);
    }
}

#[test]
fn columns_around_every_boundary() {
    for count in [1, 2, 3, 4, 7, 33, 64, 129, 1025] {
        check_all(&[5, count], 1);
        check_all(&[8, count], 1);
    }
    for rows in [2, 3, 32, 127, 1025] {
        for count in [1, 2, 3, 4, 50] {
            check_all(&[rows, count], 1);
        }
    }
}

#[test]
fn planes_of_real_networks() {
    for count in [1, 3, 50, 64] {
        check_all(&[4, count, 7, 7], 1);
        check_all(&[3, count, 13, 13], 1);
        check_all(&[3, 7, 7, count], 3);
        check_all(&[2, 14, 14, count], 3);
    }
    check_all(&[8, 64, 28, 28], 1);
    check_all(&[8, 28, 28, 64], 3);
}

#[test]
fn few_channels_of_many_values() {
    check_all(&[2, 3, 300, 300], 1);
    check_all(&[100_003, 3], 1);
    check_all(&[262_144, 1], 1);
    check_all(&[1, 1, 1_000_003], 1);
    check_all(&[1, 2, 70_001], 1);
    check_all(&[60_000, 8], 1);
}

#[test]
fn channel_axis_anywhere_in_ranks_two_to_five() {
    let dims = [3, 5, 4, 3, 5];
    for rank in 2..=5 {
        for axis in 0..rank {
            check_all(&dims[..rank], axis);
        }
    }
}

#[test]
fn every_mode() {
    let Some(device) = &device() else { return };
    for (shape, axis) in SHAPES {
        for case in all(device, shape, axis) {
            for mode in MODES {
                let case = case.clone();
                check(device, &Case { mode, ..case });
            }
        }
    }
}

#[test]
fn in_place_in_one_buffer_and_with_any_choice_of_gradients() {
    let Some(device) = &device() else { return };
    for (shape, axis) in SHAPES {
        for (i, case) in all(device, shape, axis).into_iter().enumerate() {
            for mode in [Mode::TRAIN, Mode::EVAL] {
                let case = case.clone();
                let run = Run::new(device, Case { mode, ..case });
                places::in_place(&run);
                places::one_buffer(&run);
                // Each choice has kernels of its own, whatever the type; f32 makes it of every plan.
                if i == 0 {
                    places::choices_of_gradients(&run);
                }
            }
        }
    }
}

#[test]
fn devices_without_features_have_them_too() {
    let Some(device) = &WITHOUT_FEATURES.get() else {
        return;
    };
    for (shape, axis) in SHAPES {
        for case in all(device, shape, axis) {
            check(device, &case);
        }
    }
}

/// Windows between rows, channels and within one, of which several begin within a word.
#[test]
fn windows() {
    let shapes: [(&[usize], usize); 12] = [
        (&[15, 3, 31], 1),
        (&[300, 3, 7], 1),
        (&[9, 3, 211], 1),
        (&[5, 3, 601], 1),
        (&[3, 5, 617], 1),
        (&[4, 5, 333], 1),
        (&[2, 3, 3001], 1),
        (&[2, 2, 4002], 1),
        (&[401, 7], 1),
        (&[400, 6], 1),
        (&[3333, 1], 1),
        (&[100, 66], 1),
    ];
    for device in [&BINDS_1024.get(), &BINDS_4096.get()].into_iter().flatten() {
        for (shape, axis) in shapes {
            for case in all(device, shape, axis) {
                let state = functional::state_len(device, &case.shape, &case.options);
                if state.is_ok() {
                    check(device, &case);
                    let run = Run::new(device, case);
                    places::in_place(&run);
                }
            }
        }
    }
}

fn relatives(device: &Device, case: &Relative) -> Vec<Relative> {
    let half = Relative {
        dtype: DType::F16,
        ..case.clone()
    };
    let turn = case.shape.numel();
    let planned = |(i, plan): (usize, PlanOptions)| Relative {
        dtype: HALVES[(turn + i) % 2],
        ..case.clone().planned(plan)
    };
    let plans = family::plans(device, &half);
    plans.into_iter().enumerate().map(planned).collect()
}

fn check_relatives(case: &Relative) {
    let Some(device) = &device() else { return };
    for case in relatives(device, case) {
        case.check(device);
    }
}

#[test]
fn rows_of_every_length() {
    for len in [2, 3, 5, 8, 31, 50, 64, 257, 1000, 1025, 8193] {
        for rows in [2, 33] {
            check_relatives(&Relative::new(layer(1), [rows, len]));
            check_relatives(&Relative::new(rms(1), [rows, len]));
        }
    }
    check_relatives(&Relative::new(rms(1), [5, 1]));
    check_relatives(&Relative::new(layer(2), [3, 5, 5, 7]));
    check_relatives(&Relative::new(layer(1), [5001, 63]));
}

/// Samples of an odd number of elements begin within a word.
#[test]
fn groups_and_instances_channels_first_and_last() {
    for (channels, groups) in [(1, 1), (6, 3), (9, 3)] {
        for (height, width) in [(7, 7), (8, 8)] {
            for samples in [1, 4] {
                let shapes = [
                    ([samples, channels, height, width], 1),
                    ([samples, height, width, channels], 3),
                    ([samples, height, channels, width], 2),
                ];
                for (shape, axis) in shapes {
                    check_relatives(&Relative::new(group(groups, axis), shape));
                    check_relatives(&Relative::new(instance(axis), shape));
                }
            }
        }
    }
}

#[test]
fn instances_and_renorm_with_running_statistics() {
    for (shape, axis) in [([4, 6, 5, 5], 1), ([3, 7, 7, 5], 3), ([2, 3, 64, 64], 1)] {
        for mode in [Mode::TRAIN, Mode::EVAL] {
            let case = Relative::new(instance(axis), shape);
            check_relatives(&Relative { mode, ..case });
        }
        check_relatives(&Relative::new(renorm(axis), shape));
    }
}

/// x and dy in the place of their outputs, where one sample's first element shares a word with the last of
/// the sample before it.
#[test]
fn relatives_in_place() {
    let Some(device) = &device() else { return };
    for case in [
        Relative::new(group(3, 3), [4, 7, 7, 9]),
        Relative::new(group(3, 2), [3, 3, 9, 5]),
        Relative::new(instance(3), [5, 5, 3, 3]),
        Relative::new(layer(1), [5, 7]),
    ] {
        for case in relatives(device, &case) {
            case.check_in_place(device);
        }
    }
}

/// The NaN or infinity of one channel is nobody else's, though they share words.
#[test]
fn what_is_not_finite_stays_in_its_channel() {
    let Some(device) = &device() else { return };
    for (shape, axis) in SHAPES {
        for case in all(device, shape, axis) {
            if case.channels() == 1 {
                continue;
            }
            let inputs = case.inputs();
            let clean = case.run(device, &inputs);
            let channels: Vec<usize> = reference::channels(&case.shape, axis).collect();
            for bad in [f32::NAN, f32::INFINITY] {
                let mut inputs = inputs.clone();
                let place = channels.iter().rposition(|&c| c == 1).unwrap();
                inputs.x[place] = bad;
                let got = case.run(device, &inputs);
                for (i, &c) in channels.iter().enumerate() {
                    let same = got.y[i] == clean.y[i] && got.dx[i] == clean.dx[i];
                    assert!(same || c == 1, "{case:?}: element {i} of channel {c}");
                    assert!(c != 1 || got.y[i].is_nan(), "{case:?}: {}", got.y[i]);
                }
            }
        }
    }
}

/// Their squares add up to 7e8, and f16 ends at 65,504.
#[test]
fn large_means_do_not_overflow() {
    let Some(device) = &device() else { return };
    let shapes: [(&[usize], usize); 3] = [
        (&[4, 3, 64, 64], 1),
        (&[16_384, 3], 1),
        (&[4, 64, 64, 3], 3),
    ];
    for (shape, axis) in shapes {
        for case in all(device, shape, axis) {
            let mut inputs = case.inputs();
            let plain = Case {
                offset: 0.0,
                ..case.clone()
            };
            let spread = plain
                .inputs()
                .x
                .into_iter()
                .map(|x| 200.0 + 60.0 * x / 1.25);
            inputs.x = stored::rounded(spread.collect(), case.dtype);
            let (got, want) = (case.run(device, &inputs), case.expected(&inputs));
            crate::bounds::compare(&case, &inputs, &got, &want);
            let bound = if case.dtype == DType::F16 { 1e-3 } else { 8e-3 };
            assert!(l2(&got.y, &want.y, &want.y) < bound, "{case:?}");
            assert!(
                l2(&got.dx, &want.gradients.dx, &want.gradients.dx) < bound,
                "{case:?}"
            );
        }
    }
}

#[test]
fn a_constant_channel_is_its_beta_rounded_once() {
    let Some(device) = &device() else { return };
    for (shape, axis) in SHAPES {
        for case in all(device, shape, axis) {
            let mut inputs = case.inputs();
            let channels: Vec<usize> = reference::channels(&case.shape, axis).collect();
            let levels = channels.iter().map(|&c| 37.0 * (c as f32 + 1.0));
            inputs.x = stored::rounded(levels.collect(), case.dtype);
            let betas = stored::rounded(inputs.beta.clone(), case.dtype);
            let got = case.run(device, &inputs);
            for (y, &c) in got.y.iter().zip(&channels) {
                assert_eq!(*y, betas[c], "{case:?}: channel {c}");
            }
        }
    }
}

/// Values of few places leave what a pivot has of more in every difference, and sums of those would all be
/// rounded to the same side.
#[test]
fn values_of_few_places_do_not_bias_the_mean() {
    let Some(device) = &device() else { return };
    for seed in (0..20).map(|i| 11_224_462_261_886_144_013 + i) {
        for dtype in HALVES {
            for plan in plans::chosen() {
                let case = Case::new([11, 7, 14, 8, 7], 2).planned(plan);
                check(
                    device,
                    &Case {
                        seed,
                        dtype,
                        ..case
                    },
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn any_shape(
        dims in proptest::collection::vec(1usize..24, 2..6),
        axis in 0usize..6,
        seed in any::<u64>(),
        (gpu, is_bf16) in any::<(bool, bool)>(),
        (gamma, beta) in any::<(bool, bool)>(),
    ) {
        let axis = axis % dims.len();
        let class = if gpu { DeviceClass::Gpu } else { DeviceClass::Cpu };
        let plan = PlanOptions { class: Some(class), strategy: None };
        let dtype = HALVES[usize::from(is_bf16)];
        let case = Case { gamma, beta, seed, dtype, ..Case::new(dims, axis).planned(plan) };
        if let Some(device) = &device() && case.n() > 1 {
            check(device, &case);
        }
    }
}
