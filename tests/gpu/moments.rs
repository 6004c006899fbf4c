//! Statistics of several tensors are those of one: merged moments and their backward, against float64
//! of the whole.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use wgnorm::{Momentum, PlanOptions, RunningVariance, Strategy};

use crate::bounds::{compare, compare_exact};
use crate::case::{Case, Inputs};
use crate::integers::integers;
use crate::moments_case::{WAYS, Way, run};
use crate::{device, plans};

/// Shapes in pieces along their first dimension, some of them empty.
const SHAPES: [(&[usize], usize, &[usize]); 9] = [
    (&[16, 3, 8, 8], 1, &[5, 0, 10, 1]),
    (&[6, 5, 7, 7], 1, &[1, 2, 3]),
    (&[3, 2, 64, 65], 1, &[2, 1]),
    (&[64, 50], 1, &[1, 20, 43]),
    (&[700, 9], 1, &[699, 1]),
    (&[512, 4], 1, &[128, 200, 0, 184]),
    (&[4, 9, 7, 3], 3, &[1, 3]),
    (&[8, 5, 4, 130], 3, &[3, 3, 2]),
    (&[20, 4, 6], 2, &[20]),
];

fn cases() -> Vec<(Case, &'static [usize])> {
    let Some(device) = &device() else {
        return Vec::new();
    };
    let mut cases = Vec::new();
    for (shape, axis, entries) in SHAPES {
        let case = Case::new(shape, axis);
        let split = |plan: &PlanOptions| plan.strategy != Some(Strategy::Resident);
        for plan in plans::forced(device, &case).into_iter().filter(split) {
            cases.push((case.clone().planned(plan), entries));
        }
    }
    cases
}

fn check(case: &Case, inputs: &Inputs, entries: &[usize], way: Way) {
    let Some(device) = &device() else { return };
    let got = run(device, case, inputs, entries, way);
    let again = run(device, case, inputs, entries, way);
    assert_eq!(got, again, "{case:?}: two runs differ");
    compare(case, inputs, &got, &case.expected(inputs));
}

#[test]
fn pieces_have_the_statistics_and_gradients_of_the_whole() {
    for (case, entries) in cases() {
        for way in WAYS {
            check(&case, &case.inputs(), entries, way);
        }
    }
}

#[test]
fn means_far_above_the_standard_deviation() {
    for (seed, (case, entries)) in cases().into_iter().enumerate() {
        for decade in [1, 3, 5, 7] {
            let case = Case {
                offset: 10f64.powi(decade),
                seed: seed as u64,
                ..case.clone()
            };
            let way = WAYS[seed % 3];
            check(&case, &case.inputs(), entries, way);
        }
    }
}

#[test]
fn pieces_far_apart() {
    for (case, entries) in cases() {
        let mut inputs = case.inputs();
        for (i, x) in inputs.x.iter_mut().enumerate() {
            *x = *x * 0.01 + i as f32;
        }
        check(&case, &inputs, entries, Way::Rows);
        check(&case, &inputs, entries, Way::Tensors);
    }
}

/// The first piece is nothing like all others, and so is its pivot.
#[test]
fn one_piece_that_is_unlike_the_others() {
    for (case, entries) in cases() {
        let mut inputs = case.inputs();
        let entry = inputs.x.len() / case.shape.dims()[0];
        for x in &mut inputs.x[..entry * entries[0].min(1)] {
            *x = *x * 30.0 + 1000.0;
        }
        check(&case, &inputs, entries, Way::Rows);
        check(&case, &inputs, entries, Way::Tensors);
    }
}

#[test]
fn small_integers_have_no_error_at_all() {
    let Some(device) = &device() else { return };
    let mut rng = Pcg64::seed_from_u64(5);
    for (case, entries) in cases() {
        if !case.n().is_power_of_two() {
            continue;
        }
        for way in WAYS {
            let inputs = integers(&case, &mut rng);
            let (got, want) = (
                run(device, &case, &inputs, entries, way),
                case.expected(&inputs),
            );
            compare_exact(&case, &got, &want);
        }
    }
}

#[test]
fn constant_channels_give_beta_bit_for_bit() {
    let Some(device) = &device() else { return };
    for (case, entries) in cases() {
        for way in WAYS {
            let mut inputs = case.inputs();
            inputs.x.fill(-1234.567);
            let got = run(device, &case, &inputs, entries, way);
            let channels = wgnorm::reference::channels(&case.shape, case.options.channel_axis);
            for (y, c) in got.y.iter().zip(channels) {
                assert_eq!(y.to_bits(), inputs.beta[c].to_bits(), "{case:?}: {way:?}");
            }
            assert!(got.var.iter().all(|&var| var == 0.0), "{case:?}: {way:?}");
        }
    }
}

#[test]
fn every_convention_and_option() {
    for (mut case, entries) in cases() {
        for (momentum, running_variance) in [
            (Momentum::NewWeight(1.0), RunningVariance::Unbiased),
            (Momentum::OldWeight(0.99), RunningVariance::Biased),
            (Momentum::Cumulative, RunningVariance::Unbiased),
        ] {
            case.options.momentum = momentum;
            case.options.running_variance = running_variance;
            case.options.eps = 0.1;
            check(&case, &case.inputs(), entries, Way::Rows);
        }
        for (gamma, beta) in [(false, false), (true, false), (false, true)] {
            let case = Case {
                gamma,
                beta,
                mode: wgnorm::Mode::RECOMPUTE,
                ..case.clone()
            };
            check(&case, &case.inputs(), entries, Way::Tensors);
        }
    }
}

/// Nothing is held in registers here, so to force it changes nothing.
#[test]
fn a_resident_strategy_is_the_choice_of_the_planner() {
    let Some(device) = &device() else { return };
    let case = Case::new([4, 9, 7, 3], 3);
    let resident = case.clone().planned(PlanOptions {
        strategy: Some(Strategy::Resident),
        class: None,
    });
    let inputs = case.inputs();
    let of = |case| run(device, case, &inputs, &[1, 3], Way::Rows);
    assert_eq!(of(&resident), of(&case));
}

#[test]
fn by_windows() {
    use crate::others::BINDS_4096;
    let Some(device) = &BINDS_4096.get() else {
        return;
    };
    let shapes: [(&[usize], usize, &[usize]); 5] = [
        (&[40, 3, 50], 1, &[25, 15]),
        (&[5, 3, 300], 1, &[4, 1]),
        (&[3, 5, 333], 1, &[1, 2]),
        (&[2, 2, 2500], 1, &[1, 1]),
        (&[800, 3], 1, &[300, 500]),
    ];
    for (shape, axis, entries) in shapes {
        let case = Case::new(shape, axis);
        for plan in plans::forced(device, &case) {
            let case = case.clone().planned(plan);
            assert_ne!(plan.strategy, Some(Strategy::Resident));
            let inputs = case.inputs();
            for way in WAYS {
                let got = run(device, &case, &inputs, entries, way);
                compare(&case, &inputs, &got, &case.expected(&inputs));
            }
        }
    }
}

/// Lanes that add up through shared memory alone.
#[test]
fn a_device_without_optional_features() {
    use crate::others::WITHOUT_FEATURES;
    let Some(device) = &WITHOUT_FEATURES.get() else {
        return;
    };
    for (case, entries) in cases() {
        let inputs = case.inputs();
        let got = run(device, &case, &inputs, entries, Way::Rows);
        compare(&case, &inputs, &got, &case.expected(&inputs));
    }
}

#[test]
fn more_channels_than_workgroups_in_a_row_of_the_grid() {
    let case = Case::new([5, 66_000], 1);
    check(&case, &case.inputs(), &[2, 3], Way::Rows);
}

#[test]
fn random_shapes_in_random_pieces() {
    if device().is_none() {
        return;
    }
    let mut rng = Pcg64::seed_from_u64(21);
    for seed in 0..80 {
        let rank = rng.random_range(2..=4usize);
        let mut dims: Vec<usize> = (0..rank).map(|_| rng.random_range(1..=24)).collect();
        dims[0] = rng.random_range(2..=60);
        let axis = rng.random_range(1..rank);
        let mut entries = Vec::new();
        let mut rest = dims[0];
        while rest > 0 {
            let n = rng.random_range(0..=rest);
            entries.push(n);
            rest -= n;
        }
        let plan = plans::chosen()[rng.random_range(0..2)];
        let case = Case {
            offset: 10f64.powf(rng.random_range(-1.0..7.0)),
            seed,
            ..Case::new(dims, axis).planned(plan)
        };
        let way = WAYS[rng.random_range(0..3)];
        check(&case, &case.inputs(), &entries, way);
    }
}
