//! What the steps of moments refuse, by name and with both numbers.

use wgnorm::functional::{Backward, Forward, Running};
use wgnorm::moments::{self, Row};
use wgnorm::{Activation, BatchNormOptions, DType, Device, Error, Momentum, Result, Tensor};

use crate::device;
use crate::moments_merge::merge;

fn of(device: &Device, dims: &[usize]) -> Tensor {
    device.empty(dims, DType::F32).unwrap()
}

/// The f32 of the state for an x of [4, 3].
fn state_len(device: &Device) -> usize {
    moments::state_len(device, &[4, 3].into(), &BatchNormOptions::default()).unwrap()
}

fn expect(result: Result<()>, words: &[&str]) {
    let text = result.unwrap_err().to_string();
    for word in words {
        assert!(text.contains(word), "{text:?} without {word:?}");
    }
}

#[test]
fn rows_that_a_moment_does_not_fit() {
    let Some(device) = &device() else { return };
    let of = |dims: &[usize]| of(device, dims);
    let (options, len) = (BatchNormOptions::default(), state_len(device));
    let (x, state) = (of(&[4, 3]), of(&[len]));
    let partial = |out: &Tensor, row: usize, state: &Tensor| {
        let row = Row::of(out, row);
        moments::partial(&mut device.recorder(), &x, state, row, &options)
    };
    let first = |dims: &[usize]| partial(&of(dims), 0, &state);
    expect(first(&[2, 4]), &["moments", "[3, 4]", "[2, 4]"]);
    expect(first(&[3, 2]), &["moments", "[C, 4]", "[3, 2]"]);
    expect(first(&[12]), &["moments", "[C, 4]", "[12]"]);
    let third = partial(&of(&[2, 3, 4]), 2, &state);
    expect(third, &["moments", "more than 2 rows", "[2, 3, 4]"]);
    let short = partial(&of(&[3, 4]), 0, &of(&[len - 1]));
    let (least, got) = (len.to_string(), format!("[{}]", len - 1));
    expect(short, &["state", "at least", &least, &got]);
    let integers = device.upload(&[0u32; 12], [3, 4]).unwrap();
    expect(partial(&integers, 0, &state), &["moments", "f32", "u32"]);
    let large = of(&[48]);
    let in_state = partial(&large.reshape([4, 3, 4]).unwrap(), 0, &large);
    assert!(matches!(in_state.unwrap_err(), Error::Overlap { .. }));
}

#[test]
fn tensors_that_do_not_merge() {
    let Some(device) = &device() else { return };
    let of = |dims: &[usize]| of(device, dims);
    let total = of(&[3, 4]);
    let out = (&total).into();
    let others = merge(device, &[&of(&[5, 2, 4])], out);
    expect(others, &["[3, 4]", "[5, 2, 4]"]);
    let many = merge(device, &[&of(&[32_769, 3, 4])], out);
    expect(many, &["parts", "32769", "32768"]);
    let two = of(&[2, 3, 4]);
    let own_row = merge(device, &[&two], Row::of(&two, 1));
    assert!(matches!(own_row, Err(Error::Overlap { second: "out", .. })));
    // Only the first may be what is merged into.
    let second = merge(device, &[&two, &total], out);
    assert!(matches!(second, Err(Error::Overlap { second: "out", .. })));
}

#[test]
fn statistics_that_cannot_be_finished() {
    let Some(device) = &device() else { return };
    let of = |dims: &[usize]| of(device, dims);
    let options = BatchNormOptions::default();
    let total = of(&[3, 4]);
    let finalize = |moments: &Tensor, running, state: Option<&Tensor>, options| {
        moments::finalize(&mut device.recorder(), moments, running, state, &options)
    };
    let two = finalize(&of(&[2, 3, 4]), None, None, options);
    expect(two, &["moments", "[12]", "[2, 3, 4]"]);
    let short = finalize(&total, None, Some(&of(&[39])), options);
    expect(short, &["state", "at least 40", "[39]"]);
    let eps = BatchNormOptions {
        eps: -1.0,
        ..options
    };
    expect(finalize(&total, None, None, eps), &["eps", "-1"]);
    let (mean, var) = (of(&[3]), of(&[3]));
    let running = Running {
        mean: &mean,
        var: &var,
        num_batches_tracked: None,
    };
    let cumulative = BatchNormOptions {
        momentum: Momentum::Cumulative,
        ..options
    };
    let uncounted = finalize(&total, Some(running), None, cumulative);
    expect(uncounted, &["num_batches_tracked"]);
    let var = of(&[2]);
    let running = Running {
        var: &var,
        ..running
    };
    let shorter = finalize(&total, Some(running), None, options);
    expect(shorter, &["running_var", "[3]", "[2]"]);
}

#[test]
fn normalizing_and_gradients_without_their_tensors() {
    let Some(device) = &device() else { return };
    let of = |dims: &[usize]| of(device, dims);
    let options = BatchNormOptions::default();
    let [x, y, dy, dx] = [(); 4].map(|()| of(&[4, 3]));
    let (state, sums) = (of(&[state_len(device)]), of(&[3, 2]));
    let mut step = device.recorder();
    let forward = Forward::new(&x, &y);
    expect(
        moments::normalize(&mut step, &forward, &options),
        &["state"],
    );
    let backward = Backward {
        dx: Some(&dx),
        ..Backward::new(&x, &dy, &state)
    };
    let rows = moments::backward(&mut step, &backward, &of(&[2, 3, 2]), &options);
    expect(rows, &["sums", "[6]", "[2, 3, 2]"]);
    let four = moments::partial_sums(&mut step, &backward, &of(&[3, 4]), &options);
    expect(four, &["sums", "[C, 2]", "[3, 4]"]);
    let in_state = Backward {
        dgamma: Some(&sums),
        ..backward
    };
    let wide = moments::backward(&mut step, &in_state, &sums, &options);
    expect(wide, &["dgamma", "[3]", "[3, 2]"]);
    let other = of(&[4, 4]);
    let unlike = Backward {
        dy: &other,
        ..backward
    };
    let unlike = moments::partial_sums(&mut step, &unlike, &sums, &options);
    expect(unlike, &["dy", "[4, 3]", "[4, 4]"]);
}

#[test]
fn what_moments_do_not_know() {
    let Some(device) = &device() else { return };
    let of = |dims: &[usize]| of(device, dims);
    let relu = BatchNormOptions {
        activation: Activation::Relu,
        ..BatchNormOptions::default()
    };
    let [x, y, dy, dx] = [(); 4].map(|()| of(&[4, 3]));
    let (state, sums) = (of(&[state_len(device)]), of(&[3, 2]));
    let mask = device.upload(&[1u32; 4], [4]).unwrap();
    let mut step = device.recorder();
    let forward = Forward {
        state: Some(&state),
        mask: Some(&mask),
        ..Forward::new(&x, &y)
    };
    expect(moments::normalize(&mut step, &forward, &relu), &["mask"]);
    let backward = Backward {
        dx: Some(&dx),
        ..Backward::new(&x, &dy, &state)
    };
    let masked = Backward {
        masked: true,
        ..backward
    };
    let gated = Backward {
        residual: true,
        ..backward
    };
    for (tensors, name) in [(masked, "mask"), (gated, "residual")] {
        let partial = moments::partial_sums(&mut step, &tensors, &sums, &relu);
        expect(partial, &[name, "moments"]);
        let backward = moments::backward(&mut step, &tensors, &sums, &relu);
        expect(backward, &[name, "moments"]);
    }
    let short = of(&[2]);
    let with = Backward {
        gamma: Some(&short),
        ..backward
    };
    let partial = moments::partial_sums(&mut step, &with, &sums, &relu);
    expect(partial, &["gamma", "[3]", "[2]"]);
    let gamma = of(&[3]);
    let twice = Backward {
        gamma: Some(&gamma),
        beta: Some(&gamma),
        ..backward
    };
    let partial = moments::partial_sums(&mut step, &twice, &sums, &relu);
    assert!(matches!(partial, Err(Error::Overlap { .. })), "{partial:?}");
    // Without an activation nobody looks at them.
    let plain = BatchNormOptions::default();
    moments::partial_sums(&mut step, &twice, &sums, &plain).unwrap();
}
