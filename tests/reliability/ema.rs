//! How far running statistics are from float64 after many steps.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use wgnorm::{BatchNorm, BatchNormOptions, Device, Momentum, reference};

use crate::bounds::l2;
use crate::case::Case;
use crate::effort::Effort;
use crate::report::Report;

const CHANNELS: usize = 8;
const SHAPE: [usize; 4] = [4, CHANNELS, 4, 4];
/// So many batches take turns.
const BATCHES: u64 = 16;
const SEED: u64 = 5;
/// One rounding of an f32.
const ROUNDING: f64 = 1.0 / 16_777_216.0;

/// Running statistics with a momentum, and how far they may drift in so many steps.
///
/// A step rounds two products, their sum and what the batch gives, and the two weights are rounded
/// once for all steps: at most 5 roundings of the value. A mean that weighs the new batch with m forgets
/// an error at that rate, so that all of them add up to `5 / m` roundings at most, however many steps
/// there are. A cumulative mean forgets nothing, but takes the errors of step j times j / steps, and they
/// have no common sign: `5 * sqrt(steps)` roundings are many times what they come to.
fn kinds(steps: u64) -> [(Momentum, f64); 3] {
    [
        (Momentum::NewWeight(0.1), 5.0 / 0.1 * ROUNDING),
        (Momentum::OldWeight(0.99), 5.0 / 0.01 * ROUNDING),
        (Momentum::Cumulative, 5.0 * (steps as f64).sqrt() * ROUNDING),
    ]
}

/// The drift is the worst of the mean and the variance with all kinds of momentum, in relative L2.
pub(crate) fn run(device: &Device, effort: &Effort, report: &mut Report) {
    report.seeds("ema_drift", &[SEED]);
    let mut worst = 0.0_f64;
    for (momentum, bound) in kinds(effort.ema_steps) {
        let drift = drift(device, momentum, effort.ema_steps);
        println!("drift of {momentum:?}: {drift:.1e}, bound {bound:.1e}");
        worst = worst.max(drift);
        if drift > bound {
            let what = format!("{momentum:?} drifts by {drift:.1e}, bound {bound:.1e}");
            report.violation(what);
        }
    }
    report.set("ema_drift", &worst);
}

fn drift(device: &Device, momentum: Momentum, steps: u64) -> f64 {
    let options = BatchNormOptions {
        momentum,
        ..BatchNormOptions::default()
    };
    let norm = BatchNorm::new(device, CHANNELS, options).unwrap();
    let batches = (0..BATCHES).map(|seed| {
        // Means that differ from batch to batch, none near 0.
        let offset = 3.0 + 0.25 * seed as f64;
        let case = Case {
            seed: SEED,
            offset,
            ..Case::new(SHAPE, 1)
        };
        let x = case.inputs().x;
        let wide: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
        let moments = reference::moments(&wide, &case.shape, 1);
        (device.upload(&x, SHAPE).unwrap(), moments)
    });
    let batches: Vec<_> = batches.collect();
    let mut rng = Pcg64::seed_from_u64(SEED);
    let (mut mean, mut var) = (vec![0.0; CHANNELS], vec![1.0; CHANNELS]);
    for step in 1..=steps {
        let (x, moments) = &batches[rng.random_range(0..batches.len())];
        let mut recorder = device.recorder();
        norm.forward_train(&mut recorder, x).unwrap();
        recorder.submit().unwrap();
        let weight = match momentum {
            Momentum::NewWeight(weight) => weight,
            Momentum::OldWeight(weight) => 1.0 - weight,
            Momentum::Cumulative => 1.0 / step as f64,
        };
        reference::update_running(&mut mean, &moments.mean, weight);
        let unbiased = reference::unbiased(&moments.var, moments.n);
        reference::update_running(&mut var, &unbiased, weight);
    }
    let [got_mean, got_var] = [norm.running_mean(), norm.running_var()]
        .map(|tensor| device.download::<f32>(tensor.unwrap()).unwrap());
    l2(&got_mean, &mean, &mean).max(l2(&got_var, &var, &var))
}
