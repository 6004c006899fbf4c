//! The same bounds where the mean is far above the standard deviation, and isolation of channels
//! from each other's NaN.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use wgnorm::{Mode, Statistics, Strategy};

use crate::bounds::{Errors, check, compare, compare_forward};
use crate::case::{Case, Inputs};
use crate::{device, plans};

fn shapes() -> Vec<Case> {
    let Some(device) = &device() else {
        return Vec::new();
    };
    let shapes: [(&[usize], usize); 10] = [
        (&[8, 6, 28, 28], 1),
        (&[16, 5, 7, 7], 1),
        (&[2, 3, 90, 91], 1),
        (&[64, 3, 5], 1),
        (&[2, 5, 12, 16], 1),
        (&[2000, 8], 1),
        (&[500, 50], 1),
        (&[8, 28, 28, 3], 3),
        (&[300, 130], 1),
        (&[120, 12], 1),
    ];
    let mut cases = Vec::new();
    for (shape, axis) in shapes {
        let case = Case::new(shape, axis);
        for plan in plans::forced(device, &case) {
            let by_columns = plan.strategy == Some(Strategy::SplitColumns);
            let last = axis + 1 == shape.len();
            // Rows of single elements are tried elsewhere.
            if by_columns == last || plan.strategy == Some(Strategy::Resident) {
                cases.push(case.clone().planned(plan));
            }
        }
    }
    cases
}

#[test]
fn mean_far_above_the_standard_deviation() {
    let Some(device) = &device() else { return };
    println!("worst error by |mean| / std: y, mean, rstd, running, dx, dgamma, dbeta");
    for decade in 0..=7 {
        let mut worst = Errors::default();
        for (seed, case) in shapes().into_iter().enumerate() {
            let offset = 10f64.powi(decade);
            worst = worst.max(check(
                device,
                &Case {
                    offset,
                    seed: seed as u64,
                    ..case
                },
            ));
        }
        println!(
            "1e{decade}: {:.1e} {:.1e} {:.1e} {:.1e} {:.1e} {:.1e} {:.1e}",
            worst.y, worst.mean, worst.rstd, worst.running, worst.dx, worst.dgamma, worst.dbeta
        );
    }
}

#[test]
fn one_outlier_does_not_spoil_the_pivot() {
    let Some(device) = &device() else { return };
    for case in shapes() {
        let mut inputs = case.inputs();
        // The first value of every channel is among the pivot's samples.
        let first = inputs.x.len().min(64);
        for x in &mut inputs.x[..first] {
            *x *= 3000.0;
        }
        let outputs = case.run(device, &inputs);
        compare_forward(&case, &inputs, &outputs, &case.expected(&inputs));
    }
}

#[test]
fn a_ramp_keeps_slices_far_apart() {
    let Some(device) = &device() else { return };
    for case in shapes() {
        let mut inputs = case.inputs();
        for (i, x) in inputs.x.iter_mut().enumerate() {
            *x = *x * 0.01 + i as f32;
        }
        let outputs = case.run(device, &inputs);
        compare(&case, &inputs, &outputs, &case.expected(&inputs));
    }
}

#[test]
fn constant_channels_give_beta_bit_for_bit() {
    let Some(device) = &device() else { return };
    let mut rng = Pcg64::seed_from_u64(7);
    for case in shapes() {
        let mut inputs = case.inputs();
        let constants: Vec<f32> = (0..case.channels())
            .map(|_| rng.random_range(-1e4..1e4) as f32)
            .collect();
        let axis = case.options.channel_axis;
        let channels: Vec<usize> = wgnorm::reference::channels(&case.shape, axis).collect();
        for (x, &c) in inputs.x.iter_mut().zip(&channels) {
            *x = constants[c];
        }
        let outputs = case.run(device, &inputs);
        for (y, &c) in outputs.y.iter().zip(&channels) {
            assert_eq!(
                y.to_bits(),
                inputs.beta[c].to_bits(),
                "{case:?}: y is not beta"
            );
        }
        assert!(
            outputs.var.iter().all(|&var| var == 0.0),
            "{case:?}: variance is not 0"
        );
        assert_eq!(
            outputs.mean, constants,
            "{case:?}: the mean is not the constant"
        );
        compare(&case, &inputs, &outputs, &case.expected(&inputs));
    }
}

/// Every output of the channels that are not `poisoned` has the bits that it has without poison.
fn expect_isolated(case: &Case, poison: impl Fn(&mut Inputs, usize)) {
    let Some(device) = &device() else { return };
    let channels: Vec<usize> =
        wgnorm::reference::channels(&case.shape, case.options.channel_axis).collect();
    let poisoned = case.channels() / 2;
    let clean = case.inputs();
    let mut spoilt = clean.clone();
    for (i, _) in channels
        .iter()
        .enumerate()
        .filter(|&(_, &c)| c == poisoned)
        .take(1)
    {
        poison(&mut spoilt, i);
    }
    let (want, got) = (case.run(device, &clean), case.run(device, &spoilt));
    let same = |want: &[f32], got: &[f32], channel: &dyn Fn(usize) -> usize| {
        let pairs = want.iter().zip(got).enumerate();
        pairs
            .filter(|(i, _)| channel(*i) != poisoned)
            .all(|(_, (a, b))| a.to_bits() == b.to_bits())
    };
    let by_element = |i: usize| channels[i];
    assert!(same(&want.y, &got.y, &by_element), "{case:?}: y");
    assert!(same(&want.dx, &got.dx, &by_element), "{case:?}: dx");
    let vectors = [
        (&want.mean, &got.mean),
        (&want.rstd, &got.rstd),
        (&want.running_mean, &got.running_mean),
        (&want.running_var, &got.running_var),
        (&want.dgamma, &got.dgamma),
        (&want.dbeta, &got.dbeta),
    ];
    for (want, got) in vectors {
        assert!(same(want, got, &|c| c), "{case:?}: a statistic");
    }
    let poisons_y = case.mode.statistics == Statistics::Batch && spoilt.x != clean.x;
    let hit = |i: usize| channels[i] == poisoned;
    if poisons_y {
        let all = got
            .y
            .iter()
            .enumerate()
            .filter(|(i, _)| hit(*i))
            .all(|(_, y)| y.is_nan());
        assert!(all, "{case:?}: the poison was hidden");
    }
}

#[test]
fn nan_and_infinity_stay_in_their_channel() {
    for case in shapes() {
        expect_isolated(&case, |inputs, i| inputs.x[i] = f32::NAN);
        expect_isolated(&case, |inputs, i| inputs.x[i] = f32::INFINITY);
        expect_isolated(&case, |inputs, i| inputs.dy[i] = f32::NAN);
        let frozen = Case {
            mode: Mode::EVAL,
            ..case
        };
        expect_isolated(&frozen, |inputs, i| inputs.x[i] = f32::NEG_INFINITY);
    }
}
