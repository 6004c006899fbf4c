//! Merging itself: many rows, empty ones, into itself, far apart; what is refused; and who is poisoned.

use wgnorm::functional::{Backward, Forward, Running};
use wgnorm::moments::{self, Row};
use wgnorm::{BatchNormOptions, DType, Device, Moment, Momentum, Result, Tensor};

use crate::case::Case;
use crate::device;
use crate::moments_case::{Way, run};

/// Numbers between -1 and 1 that look random.
fn noise(i: usize) -> f64 {
    let mixed = (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 40) as f64 / f64::from(1 << 23) - 1.0
}

/// Moments of so many rows and channels, of 1 to 4 values each around a mean of the row's.
fn rows(rows: usize, channels: usize, mean: impl Fn(usize) -> f64) -> Vec<Moment> {
    let moment = |i: usize| {
        let about = mean(i / channels);
        let values = (0..=i % 4).map(|j| about + noise(7 * i + j));
        // As the device has it: what is lost is none of the merge's.
        Moment::from_f32(Moment::of(values).to_f32())
    };
    (0..rows * channels).map(moment).collect()
}

fn merged(moments: &[Moment], channels: usize) -> Vec<Moment> {
    let mut all = vec![Moment::default(); channels];
    for row in moments.chunks_exact(channels) {
        let pairs = all.iter().zip(row);
        all = pairs.map(|(all, &one)| all.merge(one)).collect();
    }
    all
}

fn expect_close(got: &[f32], want: &[Moment], what: &str) {
    for (got, want) in Moment::read(got).into_iter().zip(want) {
        let std = want.variance().sqrt();
        let off = (got.mean() - want.mean()).abs();
        assert_eq!(got.n.to_bits(), want.n.to_bits(), "{what}");
        assert!(
            off <= 2e-7 * (want.mean().abs() + std),
            "{what}: mean off by {off:.1e}"
        );
        let off = (got.variance() - want.variance()).abs();
        assert!(
            off <= 3e-7 * want.variance(),
            "{what}: variance off by {off:.1e}"
        );
    }
}

fn upload(device: &Device, moments: &[Moment], channels: usize) -> Tensor {
    let shape = [moments.len() / channels, channels, 4];
    device.upload(&Moment::write(moments), shape).unwrap()
}

fn download(device: &Device, tensor: &Tensor) -> Vec<f32> {
    device.download(tensor).unwrap()
}

pub(crate) fn merge(device: &Device, sources: &[&Tensor], out: Row<'_>) -> Result<()> {
    let mut step = device.recorder();
    moments::merge(&mut step, sources, out)?;
    step.submit()
}

#[test]
fn any_number_of_rows() {
    let Some(device) = &device() else { return };
    for (n, channels) in [(1, 3), (2, 300), (33, 5), (1000, 2), (32_768, 1)] {
        for scale in [0.0, 1.0, 1e5] {
            let moments = rows(n, channels, |row| scale * noise(row) + 10.0 * scale);
            if n == 1 && scale > 0.0 {
                continue;
            }
            let source = upload(device, &moments, channels);
            let out = device.empty([channels, 4], DType::F32).unwrap();
            merge(device, &[&source], (&out).into()).unwrap();
            let want = merged(&moments, channels);
            let what = format!("{n} rows of {channels}, {scale}");
            expect_close(&download(device, &out), &want, &what);
        }
    }
}

/// The pivot of an empty part is 0, which here is 1e7 standard deviations from all values.
#[test]
fn empty_parts_count_as_nothing_wherever_they_lie() {
    let Some(device) = &device() else { return };
    for empty in [
        |i: usize| i > 0,
        |i: usize| i != 40,
        |i: usize| i.is_multiple_of(2),
    ] {
        let mut moments = rows(50, 1, |_| 1e7);
        for (i, moment) in moments.iter_mut().enumerate() {
            if empty(i) {
                *moment = Moment::default();
            }
        }
        let out = device.empty([1, 4], DType::F32).unwrap();
        let source = upload(device, &moments, 1);
        merge(device, &[&source], (&out).into()).unwrap();
        let want = merged(&moments, 1);
        let got = download(device, &out);
        assert!(
            (f64::from(got[1]) - 1e7).abs() < 2.0,
            "the pivot is {}",
            got[1]
        );
        if want[0].n > 1.0 && want[0].variance() > 0.0 {
            expect_close(&got, &want, "beside empty ones");
        }
    }
    // One part alone keeps its bits, though the empty ones' pivot is nearer to its mean.
    let alone = [4.0f32, 0.3, -1.1, 0.9];
    let among = [[0.0; 4], alone, [0.0; 4]].concat();
    let source = device.upload(&among, [3, 1, 4]).unwrap();
    let out = device.empty([1, 4], DType::F32).unwrap();
    merge(device, &[&source], (&out).into()).unwrap();
    assert_eq!(download(device, &out), alone);
    let nothing = upload(device, &[Moment::default(); 6], 2);
    let out = device.upload(&[7.0f32; 8], [2, 4]).unwrap();
    merge(device, &[&nothing, &nothing], (&out).into()).unwrap();
    assert_eq!(download(device, &out), [0.0; 8]);
    let no_rows = device.upload::<f32>(&[], [0, 2, 4]).unwrap();
    device.write(&out, &[7.0f32; 8]).unwrap();
    merge(device, &[&no_rows], (&out).into()).unwrap();
    assert_eq!(download(device, &out), [0.0; 8]);
    device.write(&out, &[7.0f32; 8]).unwrap();
    merge(device, &[], (&out).into()).unwrap();
    assert_eq!(download(device, &out), [0.0; 8]);
}

#[test]
fn a_tensor_may_be_merged_into() {
    let Some(device) = &device() else { return };
    let channels = 3;
    let (first, more) = (rows(1, channels, |_| 3.0), rows(20, channels, |_| 2.0));
    let want = merged(&[&first[..], &more[..]].concat(), channels);
    let total = upload(device, &first, channels);
    let source = upload(device, &more, channels);
    merge(device, &[&total, &source], (&total).into()).unwrap();
    expect_close(&download(device, &total), &want, "into itself");
    // Alone it stays what it is.
    let before = download(device, &total);
    merge(device, &[&total], (&total).into()).unwrap();
    assert_eq!(download(device, &total), before);

    let sums = device.upload(&[1.0f32, 2.0, 3.0, 4.0], [2, 2]).unwrap();
    let two = device
        .upload(&[10.0f32, 20.0, 30.0, 40.0, 0.5, 0.5, 0.5, 0.5], [2, 2, 2])
        .unwrap();
    let mut step = device.recorder();
    moments::merge_sums(&mut step, &[&sums, &two], &sums).unwrap();
    moments::merge_sums(
        &mut step,
        &[&two, &sums, &two],
        Row::of(&device.empty([3, 2, 2], DType::F32).unwrap(), 2),
    )
    .unwrap();
    step.submit().unwrap();
    assert_eq!(download(device, &sums), [11.5, 22.5, 33.5, 44.5]);
}

#[test]
fn only_the_row_is_written() {
    let Some(device) = &device() else { return };
    let channels = 5;
    let source = upload(device, &rows(4, channels, |_| 1.0), channels);
    let out = device.upload(&[9.0f32; 60], [3, channels, 4]).unwrap();
    merge(device, &[&source], Row::of(&out, 1)).unwrap();
    let got = download(device, &out);
    assert!(got[..20].iter().chain(&got[40..]).all(|&v| v == 9.0));
    let want = merged(&rows(4, channels, |_| 1.0), channels);
    expect_close(&got[20..40], &want, "one row");
}

#[test]
fn nan_and_infinity_stay_in_their_channel() {
    let Some(device) = &device() else { return };
    for (shape, axis) in [
        (&[8usize, 3, 5, 5][..], 1),
        (&[60, 6], 1),
        (&[6, 4, 7, 3], 3),
    ] {
        let case = Case::new(shape, axis);
        let clean = case.inputs();
        let n = shape[0];
        for poison in [f32::NAN, f32::INFINITY] {
            let mut spoilt = clean.clone();
            let channels: Vec<usize> = wgnorm::reference::channels(&case.shape, axis).collect();
            let last = channels.iter().rposition(|&c| c == 1).unwrap();
            spoilt.x[last] = poison;
            let entries = [n - 2, 2];
            let want = run(device, &case, &clean, &entries, Way::Rows);
            let got = run(device, &case, &spoilt, &entries, Way::Rows);
            for (i, &c) in channels.iter().enumerate() {
                assert_eq!(
                    got.y[i].is_nan(),
                    c == 1,
                    "{case:?}: y[{i}] is {}",
                    got.y[i]
                );
                assert!(c == 1 || got.y[i].to_bits() == want.y[i].to_bits());
                assert!(c == 1 || got.dx[i].to_bits() == want.dx[i].to_bits());
            }
            for c in 0..case.channels() {
                assert_eq!(got.running_var[c].is_nan(), c == 1, "{case:?}: {c}");
            }
        }
    }
}

/// A channel of one value is beta, one of none harms nobody, and both leave running statistics alone.
#[test]
fn fewer_than_two_values() {
    let Some(device) = &device() else { return };
    let options = BatchNormOptions {
        momentum: Momentum::Cumulative,
        ..BatchNormOptions::default()
    };
    let moments = [Moment::of([5.0]), Moment::default()];
    let total = device.upload(&Moment::write(&moments), [2, 4]).unwrap();
    let (mean, var) = (
        device.upload(&[1.0f32; 2], [2]).unwrap(),
        device.upload(&[2.0f32; 2], [2]).unwrap(),
    );
    let tracked = device.upload(&[6u32], [1]).unwrap();
    let running = Running {
        mean: &mean,
        var: &var,
        num_batches_tracked: Some(&tracked),
    };
    let x = device.upload(&[5.0f32, 0.25], [1, 2]).unwrap();
    let y = device.empty([1, 2], DType::F32).unwrap();
    let beta = device.upload(&[0.75f32, 0.0], [2]).unwrap();
    let len = moments::state_len(device, x.shape(), &options).unwrap();
    let state = device.empty([len], DType::F32).unwrap();
    let mut step = device.recorder();
    moments::finalize(&mut step, &total, Some(running), Some(&state), &options).unwrap();
    let forward = Forward {
        state: Some(&state),
        beta: Some(&beta),
        ..Forward::new(&x, &y)
    };
    moments::normalize(&mut step, &forward, &options).unwrap();
    step.submit().unwrap();
    let y = download(device, &y);
    assert_eq!(y[0], 0.75, "one value is beta");
    assert!(
        (f64::from(y[1]) * options.eps.sqrt() - 0.25).abs() < 1e-6,
        "by mean and variance 0"
    );
    assert_eq!(download(device, &mean), [1.0; 2]);
    assert_eq!(download(device, &var), [2.0; 2]);
    assert_eq!(device.download::<u32>(&tracked).unwrap(), [6]);
}

/// In place, x becomes y and dy becomes dx.
#[test]
fn outputs_may_take_the_place_of_inputs() {
    let Some(device) = &device() else { return };
    let case = Case::new([6, 5, 7, 7], 1);
    let inputs = case.inputs();
    let want = run(device, &case, &inputs, &[6], Way::Rows);
    let empty = |shape: &[usize]| device.empty(shape, DType::F32).unwrap();
    let upload = |values: &[f32], shape| device.upload(values, shape).unwrap();
    let (x, again) = (
        upload(&inputs.x, &case.shape),
        upload(&inputs.x, &case.shape),
    );
    let dy = upload(&inputs.dy, &case.shape);
    let len = moments::state_len(device, x.shape(), &case.options).unwrap();
    let (state, total, sums) = (empty(&[len]), empty(&[5, 4]), empty(&[5, 2]));
    let gamma = device.upload(&inputs.gamma, [5]).unwrap();
    let beta = device.upload(&inputs.beta, [5]).unwrap();
    let mut step = device.recorder();
    moments::partial(&mut step, &x, &state, &total, &case.options).unwrap();
    moments::finalize(&mut step, &total, None, Some(&state), &case.options).unwrap();
    let forward = Forward {
        state: Some(&state),
        gamma: Some(&gamma),
        beta: Some(&beta),
        ..Forward::new(&x, &x)
    };
    moments::normalize(&mut step, &forward, &case.options).unwrap();
    let backward = Backward {
        gamma: Some(&gamma),
        dx: Some(&dy),
        ..Backward::new(&again, &dy, &state)
    };
    let before = Backward {
        dx: None,
        ..backward
    };
    moments::partial_sums(&mut step, &before, &sums, &case.options).unwrap();
    moments::backward(&mut step, &backward, &sums, &case.options).unwrap();
    step.submit().unwrap();
    assert_eq!(download(device, &x), want.y);
    assert_eq!(download(device, &dy), want.dx);
}

#[test]
fn an_empty_x_has_moments_of_no_values_and_no_sums() {
    let Some(device) = &device() else { return };
    let options = BatchNormOptions::default();
    let x = device.upload::<f32>(&[], [0, 3, 2]).unwrap();
    let len = moments::state_len(device, x.shape(), &options).unwrap();
    let state = device.empty([len], DType::F32).unwrap();
    let total = device.upload(&[7.0f32; 12], [3, 4]).unwrap();
    let sums = device.upload(&[7.0f32; 6], [3, 2]).unwrap();
    let [dgamma, dbeta] = [(); 2].map(|()| device.upload(&[7.0f32; 3], [3]).unwrap());
    let mut step = device.recorder();
    moments::partial(&mut step, &x, &state, &total, &options).unwrap();
    moments::finalize(&mut step, &total, None, Some(&state), &options).unwrap();
    let y = device.empty(x.shape(), DType::F32).unwrap();
    let forward = Forward {
        state: Some(&state),
        ..Forward::new(&x, &y)
    };
    moments::normalize(&mut step, &forward, &options).unwrap();
    let backward = Backward {
        dx: Some(&y),
        dgamma: Some(&dgamma),
        dbeta: Some(&dbeta),
        ..Backward::new(&x, &x, &state)
    };
    moments::partial_sums(&mut step, &backward, &sums, &options).unwrap();
    moments::backward(&mut step, &backward, &sums, &options).unwrap();
    step.submit().unwrap();
    assert_eq!(download(device, &total), [0.0; 12]);
    assert_eq!(download(device, &sums), [0.0; 6]);
    assert_eq!(download(device, &dgamma), [0.0; 3]);
    assert_eq!(download(device, &dbeta), [0.0; 3]);
}
