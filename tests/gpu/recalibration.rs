//! Running statistics of a set of batches.

use rand::SeedableRng;
use rand_pcg::Pcg64;
use wgnorm::{BatchNorm, BatchNormOptions, Device, Error, Recalibration, reference};

use crate::bounds::{SUM, l2, worst};
use crate::case::{Case, Inputs};
use crate::control::{cut, layer, read};
use crate::device;
use crate::integers::integers;

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// Batches of 1 to 6 samples, more than one level of moments has rows for.
fn batches() -> Vec<usize> {
    let mut entries: Vec<usize> = (0..70).map(|i| 1 + i * 7 % 6).collect();
    entries[3] = 0;
    entries
}

fn recalibrated(device: &Device, case: &Case, inputs: &Inputs) -> (Vec<f32>, Vec<f32>) {
    let norm = layer(device, case, inputs);
    // Not even what is no number stays of the old values.
    let nan = vec![f32::NAN; case.channels()];
    for tensor in [norm.running_mean(), norm.running_var()] {
        device.write(tensor.unwrap(), &nan).unwrap();
    }
    let mut all = Recalibration::new(&norm).unwrap();
    for x in cut(device, &case.shape, &inputs.x, &batches()) {
        let mut step = device.recorder();
        all.add(&mut step, &x).unwrap();
        step.submit().unwrap();
    }
    let mut step = device.recorder();
    all.finish(&mut step).unwrap();
    step.submit().unwrap();
    let tracked = norm.num_batches_tracked().unwrap();
    assert_eq!(device.download::<u32>(tracked).unwrap(), [inputs.tracked]);
    (
        read(device, norm.running_mean()),
        read(device, norm.running_var()),
    )
}

#[test]
fn recalibration_gives_the_statistics_of_all_batches() {
    let Some(device) = &device() else { return };
    let samples = batches().iter().sum::<usize>();
    for (shape, axis) in [(vec![samples, 5, 3, 3], 1), (vec![samples, 4, 6], 2)] {
        for offset in [0.3, 1e3, 1e7] {
            let case = Case {
                offset,
                ..Case::new(shape.clone(), axis)
            };
            let inputs = case.inputs();
            let (mean, var) = recalibrated(device, &case, &inputs);
            let want = case.expected(&inputs);
            let sizes = want.mean.iter().zip(&want.var);
            let sizes: Vec<f64> = sizes.map(|(m, v)| m.abs() + v.sqrt()).collect();
            let unbiased = reference::unbiased(&want.var, case.n());
            assert!(worst(&mean, &want.mean, &sizes) <= SUM, "{case:?}: mean");
            assert!(l2(&var, &unbiased, &unbiased) <= 3e-7, "{case:?}: var");
        }
    }
}

#[test]
fn recalibration_of_small_integers_is_exact() {
    let Some(device) = &device() else { return };
    let samples = batches().iter().sum::<usize>();
    let mut case = Case::new([samples, 3, 64], 1);
    case.options.running_variance = wgnorm::RunningVariance::Biased;
    let inputs = integers(&case, &mut Pcg64::seed_from_u64(3));
    let (mean, var) = recalibrated(device, &case, &inputs);
    let want = case.expected(&inputs);
    assert_eq!(wide(&mean), want.mean);
    // n is no power of two: the one rounding is that of the quotient.
    assert_eq!(
        wide(&var),
        want.var
            .iter()
            .map(|&v| f64::from(v as f32))
            .collect::<Vec<_>>()
    );
}

/// A batch that is refused after 32 others, of which a full level was to become one row of the next.
#[test]
fn a_refused_batch_leaves_the_others_as_they_are() {
    let Some(device) = &device() else { return };
    let norm = BatchNorm::new(device, 2, BatchNormOptions::default()).unwrap();
    let mut all = Recalibration::new(&norm).unwrap();
    let x = device.upload(&[1.0f32, 5.0, 3.0, 9.0], [2, 2]).unwrap();
    for i in 0..70 {
        let integers = device.upload(&[7u32; 4], [2, 2]).unwrap();
        let mut dropped = device.recorder();
        assert!(all.add(&mut dropped, &integers).is_err(), "batch {i}");
        drop(dropped);
        let mut step = device.recorder();
        all.add(&mut step, &x).unwrap();
        step.submit().unwrap();
    }
    let mut step = device.recorder();
    let total = all.moments(&mut step).unwrap();
    step.submit().unwrap();
    let total = read(device, Some(&total));
    assert_eq!([total[0], total[4]], [140.0; 2]);
    let means = [0, 4].map(|c| total[c + 1] + total[c + 2] / total[c]);
    assert_eq!(means, [2.0, 7.0]);
}

#[test]
fn recalibration_without_values_changes_nothing() {
    let Some(device) = &device() else { return };
    let norm = BatchNorm::new(device, 2, BatchNormOptions::default()).unwrap();
    let mut step = device.recorder();
    let mut all = Recalibration::new(&norm).unwrap();
    let one = device.upload(&[5.0f32, 6.0], [1, 2]).unwrap();
    all.add(&mut step, &one).unwrap();
    let total = all.moments(&mut step).unwrap();
    all.finish(&mut step).unwrap();
    Recalibration::new(&norm)
        .unwrap()
        .finish(&mut step)
        .unwrap();
    step.submit().unwrap();
    assert_eq!(
        read(device, Some(&total)),
        [1.0, 5.0, 0.0, 0.0, 1.0, 6.0, 0.0, 0.0]
    );
    assert_eq!(read(device, norm.running_mean()), [0.0; 2]);
    assert_eq!(read(device, norm.running_var()), [1.0; 2]);
    let bare = norm.without_running_statistics();
    assert!(matches!(
        Recalibration::new(&bare).unwrap_err(),
        Error::Missing {
            name: "running_mean",
            ..
        }
    ));
}
