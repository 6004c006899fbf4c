//! The state of layers: out, in, from a file of `PyTorch`, and what does not fit.

use std::future::Future;
use std::task::{Context, Poll, Waker};

use wgnorm::state::{self, Convention, Mismatch, NormState, RunningState, StateFile};
use wgnorm::{
    BatchNorm, BatchNormOptions, BatchRenorm, BatchRenormOptions, Device, Error,
    GhostBatchNormOptions, GroupNorm, GroupNormOptions, InstanceNorm, InstanceNormOptions,
    LayerNorm, LayerNormOptions, Momentum, Norm, Restore, RmsNorm, RmsNormOptions,
};

use crate::bounds::l2;
use crate::device;

const PYTORCH: Convention = Convention::PyTorch;

fn golden() -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/state");
    std::fs::read(format!("{folder}/torch_f32.safetensors")).unwrap()
}

/// What `PyTorch` gave a norm in evaluation mode and what it made of it.
fn probe(bytes: &[u8], prefix: &str) -> [Vec<f32>; 2] {
    let file = safetensors::SafeTensors::deserialize(bytes).unwrap();
    ["x", "y"].map(|name| {
        let tensor = file.tensor(&format!("probe.{prefix}{name}")).unwrap();
        let elements = tensor.data().chunks_exact(4);
        elements
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect()
    })
}

/// Distinct values for each tensor, some of which no arithmetic would leave as they are.
fn state(shape: &[usize], has: &str) -> NormState {
    let n = shape.iter().product::<usize>();
    let values = |first: f32| -> Vec<f32> { (0..n).map(|i| first + 0.1 * i as f32).collect() };
    NormState {
        shape: shape.into(),
        gamma: has.contains("gamma").then(|| values(-3.0)),
        beta: has.contains("beta").then(|| values(1e-30)),
        running: has.contains("running").then(|| RunningState {
            mean: values(7.0),
            var: values(0.5),
            num_batches_tracked: Some(u32::MAX - 1),
        }),
    }
}

/// Makes a layer of the state, brings it back, overwrites it and brings that back.
fn round_trip<O: Restore>(device: &Device, options: O, state: &NormState) -> Norm<O> {
    let layer = Norm::from_state(device, state, options).unwrap();
    assert_eq!(&layer.state(device).unwrap(), state);
    let mut other = state.clone();
    for values in [&mut other.gamma, &mut other.beta].into_iter().flatten() {
        for value in values {
            *value += 10.0;
        }
    }
    if let Some(running) = &mut other.running {
        running.mean[0] = f32::INFINITY;
        running.var[0] = 0.0;
        running.num_batches_tracked = Some(3);
    }
    layer.set_state(device, &other).unwrap();
    assert_eq!(layer.state(device).unwrap(), other);
    // A state that does not know the count leaves the layer its own.
    let mut without = state.clone();
    if let Some(running) = &mut without.running {
        running.num_batches_tracked = None;
    }
    layer.set_state(device, &without).unwrap();
    if let Some(running) = &mut without.running {
        running.num_batches_tracked = Some(3);
    }
    assert_eq!(layer.state(device).unwrap(), without);
    layer
}

#[test]
fn every_norm_is_made_of_its_state() {
    let Some(device) = &device() else { return };
    let batch = BatchNormOptions::default();
    for has in ["gamma beta running", "gamma", "beta running", "running", ""] {
        round_trip(device, batch, &state(&[6], has));
        round_trip(device, InstanceNormOptions::default(), &state(&[6], has));
    }
    let renorm = BatchRenormOptions::default();
    round_trip(device, renorm, &state(&[6], "gamma beta running"));
    let ghost = GhostBatchNormOptions {
        samples: 4,
        ..GhostBatchNormOptions::default()
    };
    round_trip(device, ghost, &state(&[6], "gamma beta running"));
    let groups = GroupNormOptions {
        groups: 3,
        ..GroupNormOptions::default()
    };
    round_trip(device, groups, &state(&[6], "gamma beta"));
    let layer = LayerNormOptions::default();
    let layer = round_trip(device, layer, &state(&[2, 3], "gamma beta"));
    assert_eq!(layer.options().normalized_dims, 2);
    let rms = round_trip(device, RmsNormOptions::default(), &state(&[6], "gamma"));
    assert_eq!(rms.options().normalized_dims, 1);
}

/// Loads a norm of the golden file into a fresh layer and makes another one of it; both give PyTorch's y.
fn assert_infers_like_pytorch<O: Restore + Copy>(device: &Device, prefix: &str, fresh: &Norm<O>) {
    let bytes = golden();
    let file = StateFile::parse(&bytes).unwrap();
    let section = file.at(prefix, PYTORCH);
    assert_eq!(fresh.load(device, &section).unwrap(), Mismatch::default());
    let made = Norm::from_state(device, &section.read().unwrap(), *fresh.options()).unwrap();
    assert_eq!(made.state(device).unwrap(), fresh.state(device).unwrap());
    let [x, y] = probe(&bytes, prefix);
    let x = device.upload(&x, [2, 4, 4, 5]).unwrap();
    let want: Vec<f64> = y.iter().map(|&y| y.into()).collect();
    for layer in [fresh, &made] {
        let mut recorder = device.recorder();
        let y = layer.infer(&mut recorder, &x).unwrap();
        recorder.submit().unwrap();
        let error = l2(&device.download(&y).unwrap(), &want, &want);
        assert!(error < 3e-7, "{prefix}: off by {error:.1e}");
    }
}

#[test]
fn a_network_of_pytorch_s_infers_as_it_does_there() {
    let Some(device) = &device() else { return };
    let batch = |momentum| BatchNormOptions {
        momentum,
        ..BatchNormOptions::from(PYTORCH)
    };
    let plain = BatchNorm::new(device, 4, batch(Momentum::default())).unwrap();
    assert_infers_like_pytorch(device, "bn1.", &plain);
    let cumulative = BatchNorm::new(device, 4, batch(Momentum::Cumulative)).unwrap();
    assert_infers_like_pytorch(device, "layer1.0.bn1.", &cumulative);
    let bare = plain.clone().without_gamma().without_beta();
    assert_infers_like_pytorch(device, "bare.", &bare);
    let options = GroupNormOptions {
        groups: 2,
        ..GroupNormOptions::default()
    };
    let group = GroupNorm::new(device, 4, options).unwrap();
    assert_infers_like_pytorch(device, "layer1.0.gn.", &group);
    let instance = InstanceNorm::new(4, InstanceNormOptions::default()).unwrap();
    let instance = instance.with_gamma(device).unwrap();
    let instance = instance.with_beta(device).unwrap();
    let instance = instance.with_running_statistics(device).unwrap();
    assert_infers_like_pytorch(device, "instance.", &instance);
    let layer = LayerNorm::new(device, [4, 5], LayerNormOptions::default()).unwrap();
    assert_infers_like_pytorch(device, "ln.", &layer);
    let rms = RmsNorm::new(device, [5], RmsNormOptions::default()).unwrap();
    assert_infers_like_pytorch(device, "rms.", &rms);
}

fn assert_names(error: &Error, missing: &[&str], unexpected: &[&str]) {
    let [missing, unexpected] =
        [missing, unexpected].map(|names| names.iter().map(ToString::to_string).collect());
    let expected = Error::StateNames {
        missing,
        unexpected,
    };
    assert_eq!(error, &expected);
}

#[test]
fn a_strict_load_wants_exactly_what_the_layer_has() {
    let Some(device) = &device() else { return };
    let layer = BatchNorm::new(device, 6, BatchNormOptions::default()).unwrap();
    let before = layer.state(device).unwrap();
    let bytes = state::write(PYTORCH, [("a.", state(&[6], "gamma running"))]).unwrap();
    let file = StateFile::parse(&bytes).unwrap();
    let error = layer.load(device, &file.at("a.", PYTORCH)).unwrap_err();
    assert_names(&error, &["a.bias"], &[]);
    let group = GroupNorm::new(
        device,
        6,
        GroupNormOptions {
            groups: 2,
            ..Default::default()
        },
    );
    let group = group.unwrap();
    let error = group.load(device, &file.at("a.", PYTORCH)).unwrap_err();
    let statistics = ["a.num_batches_tracked", "a.running_mean", "a.running_var"];
    assert_names(&error, &["a.bias"], &statistics);
    // In another convention's names nothing of it is there, and that is no leniency's business.
    let section = file.at("a.", Convention::Keras).lenient();
    let error = layer.load(device, &section).unwrap_err();
    let names = ["a.gamma", "a.beta", "a.moving_mean", "a.moving_variance"];
    assert_names(&error, &names, &[]);
    assert_eq!(
        layer.state(device).unwrap(),
        before,
        "something was written"
    );

    let lenient = file.at("a.", PYTORCH).lenient();
    let mismatch = layer.load(device, &lenient).unwrap();
    let expected = Mismatch {
        missing: vec!["a.bias".to_owned()],
        unexpected: Vec::new(),
    };
    assert_eq!(mismatch, expected);
    let mut expected = state(&[6], "gamma running");
    expected.beta = before.beta;
    assert_eq!(layer.state(device).unwrap(), expected);
    let mismatch = group.load(device, &lenient).unwrap();
    assert_eq!(mismatch.unexpected, statistics);
    assert_eq!(group.state(device).unwrap().gamma, expected.gamma);
}

#[test]
fn a_count_without_statistics_is_left_in_the_file() {
    let Some(device) = &device() else { return };
    let layer = BatchNorm::new(device, 6, BatchNormOptions::default()).unwrap();
    let mut expected = layer.state(device).unwrap();
    let bytes = state::write(PYTORCH, [("a.", state(&[6], "gamma beta"))]).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors = file.tensors();
    let five = 5i64.to_le_bytes();
    let count = safetensors::tensor::TensorView::new(safetensors::Dtype::I64, vec![], &five);
    tensors.push(("a.num_batches_tracked".to_owned(), count.unwrap()));
    let bytes = safetensors::serialize(tensors, None).unwrap();
    let file = StateFile::parse(&bytes).unwrap();

    let section = file.at("a.", PYTORCH);
    let error = layer.load(device, &section).unwrap_err();
    assert_names(&error, &["a.running_mean", "a.running_var"], &[]);
    let mismatch = layer.load(device, &section.lenient()).unwrap();
    assert_eq!(mismatch.missing, ["a.running_mean", "a.running_var"]);
    assert_eq!(mismatch.unexpected, ["a.num_batches_tracked"]);
    let given = state(&[6], "gamma beta");
    (expected.gamma, expected.beta) = (given.gamma, given.beta);
    assert_eq!(layer.state(device).unwrap(), expected);
}

#[test]
fn a_norm_without_tensors_loads_nothing() {
    let Some(device) = &device() else { return };
    let layer = InstanceNorm::new(6, InstanceNormOptions::default()).unwrap();
    let empty = state::write(PYTORCH, [("a.", state(&[6], ""))]).unwrap();
    let empty = StateFile::parse(&empty).unwrap();
    let mismatch = layer.load(device, &empty.at("a.", PYTORCH)).unwrap();
    assert_eq!(mismatch, Mismatch::default());
    let full = state::write(PYTORCH, [("a.", state(&[6], "gamma"))]).unwrap();
    let full = StateFile::parse(&full).unwrap();
    let error = layer.load(device, &full.at("a.", PYTORCH)).unwrap_err();
    assert_names(&error, &[], &["a.weight"]);
}

#[test]
fn values_of_another_shape_are_refused_and_nothing_is_written() {
    let Some(device) = &device() else { return };
    let layer = BatchNorm::new(device, 6, BatchNormOptions::default()).unwrap();
    let before = layer.state(device).unwrap();
    let bytes = state::write(PYTORCH, [("a.", state(&[5], "gamma beta running"))]).unwrap();
    let file = StateFile::parse(&bytes).unwrap();
    for section in [file.at("a.", PYTORCH), file.at("a.", PYTORCH).lenient()] {
        let error = layer.load(device, &section).unwrap_err();
        assert_eq!(error.to_string(), "a.weight: expected shape [6], got [5]");
    }
    let error = layer.set_state(device, &state(&[5], "gamma beta running"));
    let expected = "state: expected shape [6], got [5]";
    assert_eq!(error.unwrap_err().to_string(), expected);
    let mut short = state(&[6], "gamma beta running");
    short.running.as_mut().unwrap().var.pop();
    let expected = "running_var: shape [6] has 6 elements, but the data has 5";
    for error in [
        layer.set_state(device, &short).unwrap_err(),
        BatchNorm::from_state(device, &short, BatchNormOptions::default()).unwrap_err(),
    ] {
        assert_eq!(error.to_string(), expected);
    }
    let error = layer.set_state(device, &state(&[6], "gamma running"));
    assert_names(&error.unwrap_err(), &["beta"], &[]);
    let without = layer.clone().without_running_statistics();
    let error = without.set_state(device, &state(&[6], "gamma beta running"));
    assert_names(&error.unwrap_err(), &[], &["running_mean", "running_var"]);
    assert_eq!(
        layer.state(device).unwrap(),
        before,
        "something was written"
    );
}

#[test]
fn a_state_that_is_another_norm_s_makes_no_layer() {
    let Some(device) = &device() else { return };
    let statistics = ["running_mean", "running_var"];
    let options = LayerNormOptions::default();
    let error = LayerNorm::from_state(device, &state(&[6], "gamma running"), options).unwrap_err();
    assert_names(&error, &[], &statistics);
    let options = BatchRenormOptions::default();
    let error = BatchRenorm::from_state(device, &state(&[6], "gamma"), options).unwrap_err();
    assert_names(&error, &statistics, &[]);
    let options = BatchNormOptions::default();
    let error = BatchNorm::from_state(device, &state(&[2, 3], "gamma"), options).unwrap_err();
    let expected = "state: expected [C], one element per channel, got [2, 3]";
    assert_eq!(error.to_string(), expected);
    let error = BatchNorm::from_state(device, &state(&[0], "gamma"), options).unwrap_err();
    assert_eq!(error.to_string(), "channels: expected at least 1, got [0]");
}

#[test]
fn training_moves_what_is_saved() {
    let Some(device) = &device() else { return };
    let layer = BatchNorm::new(device, 2, BatchNormOptions::from(Convention::Keras)).unwrap();
    let x = [1.0f32, -2.0, 3.0, 6.0];
    let x = device.upload(&x, [2, 2]).unwrap();
    let mut recorder = device.recorder();
    layer.forward_train(&mut recorder, &x).unwrap();
    recorder.submit().unwrap();
    let running = layer.state(device).unwrap().running.unwrap();
    // Means 2 and 2, biased variances 1 and 16; the new batch weighs a hundredth.
    let close = |got: &[f32], want: [f32; 2]| {
        let off = got.iter().zip(want).map(|(got, want)| (got - want).abs());
        assert!(off.fold(0.0, f32::max) < 1e-6, "{got:?}, expected {want:?}");
    };
    close(&running.mean, [0.02, 0.02]);
    close(&running.var, [1.0, 1.15]);
    assert_eq!(running.num_batches_tracked, Some(1));
}

#[test]
fn the_async_twin_waits_for_nobody() {
    let Some(device) = &device() else { return };
    let state = state(&[6], "gamma running");
    let layer = BatchNorm::from_state(device, &state, BatchNormOptions::default()).unwrap();
    let mut future = Box::pin(layer.state_async(device));
    let mut context = Context::from_waker(Waker::noop());
    let found = loop {
        if let Poll::Ready(found) = future.as_mut().poll(&mut context) {
            break found.unwrap();
        }
    };
    assert_eq!(found, state);
}
