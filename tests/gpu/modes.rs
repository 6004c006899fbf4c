//! The four modes, the momentum and variance conventions, and what is optional.

use wgnorm::{Mode, Momentum, RunningVariance};

use crate::bounds::check;
use crate::case::{Case, MODES};
use crate::{device, plans};

fn cases() -> Vec<Case> {
    let Some(device) = &device() else {
        return Vec::new();
    };
    let shapes: [(&[usize], usize); 6] = [
        (&[6, 5, 7, 7], 1),
        (&[6, 5, 6, 6], 1),
        (&[4, 3, 64, 64], 1),
        (&[700, 9], 1),
        (&[20, 64], 1),
        (&[3, 4, 6, 2], 2),
    ];
    let cases = shapes.map(|(shape, axis)| Case::new(shape, axis));
    let planned = |case: Case| {
        let plans = plans::forced(device, &case);
        plans
            .into_iter()
            .map(move |plan| case.clone().planned(plan))
    };
    cases.into_iter().flat_map(planned).collect()
}

#[test]
fn every_mode() {
    let Some(device) = &device() else { return };
    for case in cases() {
        for mode in MODES {
            check(
                device,
                &Case {
                    mode,
                    ..case.clone()
                },
            );
        }
    }
}

#[test]
fn gamma_and_beta_are_optional_independently() {
    let Some(device) = &device() else { return };
    for case in cases() {
        for (gamma, beta) in [(false, false), (true, false), (false, true)] {
            for mode in [Mode::TRAIN, Mode::EVAL] {
                check(
                    device,
                    &Case {
                        mode,
                        gamma,
                        beta,
                        ..case.clone()
                    },
                );
            }
        }
    }
}

#[test]
fn running_statistics_are_optional() {
    let Some(device) = &device() else { return };
    for case in cases() {
        check(
            device,
            &Case {
                running: false,
                mode: Mode::RECOMPUTE,
                ..case
            },
        );
    }
}

#[test]
fn momentum_in_every_convention() {
    let Some(device) = &device() else { return };
    let momenta = [
        Momentum::NewWeight(0.0),
        Momentum::NewWeight(0.3),
        Momentum::NewWeight(1.0),
        Momentum::OldWeight(0.99),
        Momentum::Cumulative,
    ];
    for mut case in cases() {
        for momentum in momenta {
            for running_variance in [RunningVariance::Unbiased, RunningVariance::Biased] {
                for mode in [MODES[0], MODES[3]] {
                    case.options.momentum = momentum;
                    case.options.running_variance = running_variance;
                    check(
                        device,
                        &Case {
                            mode,
                            ..case.clone()
                        },
                    );
                }
            }
        }
    }
}

#[test]
fn eps_of_any_size() {
    let Some(device) = &device() else { return };
    for mut case in cases() {
        for eps in [1e-12, 1e-3, 1.0, 100.0] {
            case.options.eps = eps;
            check(device, &case);
        }
    }
}

/// Where nothing flows through the statistics y and dx are of each element alone, though x has an infinity and
/// sums of dy overflow, and whether or not anybody asks for the sums: dx is gamma * rstd * dy.
#[test]
fn by_running_statistics_elements_are_finite_where_others_and_the_sums_are_not() {
    let Some(device) = &device() else { return };
    let cases = [([4, 3, 4, 4], 1), ([5, 3, 7, 7], 1), ([4, 4, 4, 8], 3)];
    let modes = [Mode::EVAL, MODES[3]];
    for ((shape, axis), mode) in cases
        .into_iter()
        .flat_map(|case| modes.map(|mode| (case, mode)))
    {
        let case = Case::new(shape, axis);
        for plan in plans::forced(device, &case) {
            let case = Case {
                mode,
                ..case.clone().planned(plan)
            };
            let mut inputs = case.inputs();
            inputs.dy.fill(3e38);
            inputs.x[7] = f32::INFINITY;
            let got = case.run(device, &inputs);
            let finite = |(i, y): (usize, &f32)| y.is_finite() == (i != 7);
            assert!(got.y.iter().enumerate().all(finite), "{case:?}");
            let statistics = inputs
                .running_var
                .iter()
                .map(|var| (var + 1e-5).sqrt().recip());
            let scales: Vec<f32> = statistics.zip(&inputs.gamma).map(|(r, g)| r * g).collect();
            let channels = wgnorm::reference::channels(&case.shape, axis);
            for (dx, c) in got.dx.iter().zip(channels) {
                let want = scales[c] * 3e38;
                let same = (dx - want).abs() <= 1e-6 * want.abs() || *dx == want;
                assert!(same, "{case:?}: {dx} of channel {c} for {want}");
            }
        }
    }
}

/// An outlier takes the batch's mean far away; what the running statistics normalize does not follow it.
#[test]
fn by_running_statistics_an_outlier_is_alone() {
    let Some(device) = &device() else { return };
    for (shape, axis) in [([4, 3, 5, 5], 1), ([4, 3, 4, 4], 1), ([10, 4, 1, 8], 3)] {
        let case = Case::new(shape, axis);
        for plan in plans::forced(device, &case) {
            for mode in [Mode::EVAL, MODES[3]] {
                let case = Case {
                    mode,
                    ..case.clone().planned(plan)
                };
                let mut inputs = case.inputs();
                inputs.x[5] = 1e6;
                let (got, want) = (case.run(device, &inputs), case.expected(&inputs));
                for (i, (got, want)) in got.y.iter().zip(&want.y).enumerate() {
                    let off = (f64::from(*got) - want).abs();
                    assert!(
                        off <= 1e-6 * want.abs().max(1.0),
                        "{case:?}: {got} for {want} at {i}"
                    );
                }
            }
        }
    }
}
