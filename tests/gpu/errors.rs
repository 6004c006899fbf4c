//! Every bad argument gets its typed error, which names it and both numbers, and leaves nothing
//! half-written.

use wgnorm::functional::{self, Forward, Running};
use wgnorm::{BatchNorm, BatchNormOptions, Error, Mode, Momentum, PlanOptions, Shape, Strategy};

use crate::device;
use crate::spoilt::{Tensors, expect};

#[test]
fn what_is_right_is_accepted() {
    let Some(device) = &device() else { return };
    let tensors = Tensors::new(device);
    tensors.forward().unwrap();
    tensors.backward().unwrap();
}

#[test]
fn shapes_that_do_not_fit() {
    let Some(device) = &device() else { return };
    let upload = |dims: &[usize]| {
        device
            .upload(&vec![1.0f32; dims.iter().product()], dims)
            .unwrap()
    };
    let spoil = |change: &dyn Fn(&mut Tensors<'_>)| {
        let mut tensors = Tensors::new(device);
        change(&mut tensors);
        tensors
    };
    let forward = |change: &dyn Fn(&mut Tensors<'_>)| spoil(change).forward();
    let backward = |change: &dyn Fn(&mut Tensors<'_>)| spoil(change).backward();
    expect(
        forward(&|t| t.x = upload(&[12])),
        &["x", "at least 2 dimensions", "[12]"],
    );
    expect(
        forward(&|t| t.options.channel_axis = 2),
        &["x", "2 is the channel axis", "[4, 3]"],
    );
    expect(
        forward(&|t| t.x = upload(&[4, 0])),
        &["x", "at least 1 channel", "[4, 0]"],
    );
    expect(
        forward(&|t| t.y = upload(&[3, 4])),
        &["y", "[4, 3]", "[3, 4]"],
    );
    expect(
        forward(&|t| t.gamma = upload(&[4])),
        &["gamma", "[3]", "[4]"],
    );
    expect(forward(&|t| t.beta = upload(&[2])), &["beta", "[3]", "[2]"]);
    expect(
        forward(&|t| t.mean = upload(&[1])),
        &["running_mean", "[3]", "[1]"],
    );
    expect(
        forward(&|t| t.var = upload(&[5])),
        &["running_var", "[3]", "[5]"],
    );
    expect(
        forward(&|t| t.state = upload(&[15])),
        &["state", "at least", "[15]"],
    );
    expect(
        backward(&|t| t.dy = upload(&[4, 3, 1])),
        &["dy", "[4, 3]", "[4, 3, 1]"],
    );
    expect(
        backward(&|t| t.y = upload(&[4, 2])),
        &["dx", "[4, 3]", "[4, 2]"],
    );
    expect(
        backward(&|t| t.mean = upload(&[2])),
        &["dgamma", "[3]", "[2]"],
    );
    expect(
        backward(&|t| t.var = upload(&[4])),
        &["dbeta", "[3]", "[4]"],
    );
    expect(device.upload(&[1.0f32; 5], [2, 3]), &["[2, 3]", "6", "5"]);
    let layer = BatchNorm::new(device, 3, BatchNormOptions::default()).unwrap();
    let mut recorder = device.recorder();
    let x = upload(&[2, 4]);
    expect(
        layer.forward_train(&mut recorder, &x),
        &["x", "3 channels", "[2, 4]"],
    );
    expect(
        layer.infer(&mut recorder, &x),
        &["x", "3 channels", "[2, 4]"],
    );
    let [x, other] = [[2, 3], [4, 3]].map(|dims| upload(&dims));
    let (_, saved) = layer.forward_train(&mut recorder, &x).unwrap();
    let sideways = BatchNormOptions {
        channel_axis: 0,
        ..BatchNormOptions::default()
    };
    let stranger = BatchNorm::new(device, 2, sideways).unwrap();
    expect(
        stranger.backward(&mut recorder, &x, &x, &saved),
        &["x", "3 channels"],
    );
    expect(
        layer.backward(&mut recorder, &other, &other, &saved),
        &["x", "[2, 3]", "[4, 3]"],
    );
    expect(
        BatchNorm::new(device, 0, BatchNormOptions::default()),
        &["channels", "at least 1"],
    );
}

#[test]
fn one_value_per_channel() {
    let Some(device) = &device() else { return };
    let mut tensors = Tensors::new(device);
    tensors.x = device.upload(&[1.0f32; 3], [1, 3]).unwrap();
    tensors.y = device.upload(&[1.0f32; 3], [1, 3]).unwrap();
    let message = "expected more than 1 value per channel when training, got input size [1, 3]";
    for mode in [Mode::TRAIN, Mode::RECOMPUTE] {
        tensors.mode = mode;
        let error = expect(tensors.forward(), &[message]);
        assert_eq!(
            error,
            Error::OneValuePerChannel {
                shape: Shape::from([1, 3])
            }
        );
    }
    tensors.mode = Mode::EVAL;
    tensors.forward().unwrap();
    assert_eq!(device.download::<u32>(&tensors.tracked).unwrap(), [0]);
}

#[test]
fn options_out_of_range() {
    let Some(device) = &device() else { return };
    let refused = |options: BatchNormOptions, parts: &[&str]| {
        expect(BatchNorm::new(device, 3, options), parts);
        let mut tensors = Tensors::new(device);
        tensors.options = options;
        expect(tensors.forward(), parts);
    };
    let default = BatchNormOptions::default();
    for eps in [0.0, -1e-5, f64::NAN, f64::INFINITY, 1e-60] {
        refused(
            BatchNormOptions { eps, ..default },
            &["eps", &eps.to_string()],
        );
    }
    for weight in [-0.1, 1.1, f64::NAN] {
        let momentum = Momentum::NewWeight(weight);
        refused(
            BatchNormOptions {
                momentum,
                ..default
            },
            &["momentum", &weight.to_string()],
        );
        let momentum = Momentum::OldWeight(weight);
        refused(
            BatchNormOptions {
                momentum,
                ..default
            },
            &["momentum", "old"],
        );
    }
}

#[test]
fn tensors_that_are_missing() {
    let Some(device) = &device() else { return };
    let tensors = Tensors::new(device);
    let bare = Forward {
        state: Some(&tensors.state),
        ..Forward::new(&tensors.x, &tensors.y)
    };
    let record = |forward: Forward<'_>, options: BatchNormOptions, mode| {
        functional::forward(&mut device.recorder(), &forward, &options, mode)
    };
    let default = BatchNormOptions::default();
    expect(
        record(bare, default, Mode::EVAL),
        &["running_mean is missing"],
    );
    expect(
        record(bare, default, Mode::TRAIN),
        &["running_mean is missing"],
    );
    expect(
        record(
            Forward {
                state: None,
                ..bare
            },
            default,
            Mode::RECOMPUTE,
        ),
        &["state is missing"],
    );
    let running = Running {
        mean: &tensors.mean,
        var: &tensors.var,
        num_batches_tracked: None,
    };
    let cumulative = BatchNormOptions {
        momentum: Momentum::Cumulative,
        ..default
    };
    expect(
        record(
            Forward {
                running: Some(running),
                ..bare
            },
            cumulative,
            Mode::TRAIN,
        ),
        &["num_batches_tracked is missing"],
    );
}

#[test]
fn element_types_that_do_not_fit() {
    let Some(device) = &device() else { return };
    let mut tensors = Tensors::new(device);
    tensors.x = device.upload(&[half::f16::ONE; 12], [4, 3]).unwrap();
    expect(tensors.forward(), &["x", "f32", "f16"]);
    let mut tensors = Tensors::new(device);
    tensors.tracked = device.upload(&[0.0f32], [1]).unwrap();
    expect(tensors.forward(), &["num_batches_tracked", "u32", "f32"]);
    expect(device.download::<u32>(&tensors.x), &["u32", "f32"]);
}
#[test]
fn a_strategy_that_does_not_apply() {
    let Some(device) = &device() else { return };
    let mut tensors = Tensors::new(device);
    tensors.x = device.upload(&[1.0f32; 12], [2, 3, 2]).unwrap();
    tensors.y = device.upload(&[1.0f32; 12], [2, 3, 2]).unwrap();
    tensors.options.plan = PlanOptions {
        strategy: Some(Strategy::SplitColumns),
        ..PlanOptions::default()
    };
    expect(tensors.forward(), &["split_columns", "[2, 3, 2]", "axis 1"]);
}

#[test]
fn a_refused_call_has_written_nothing() {
    let Some(device) = &device() else { return };
    let mut tensors = Tensors::new(device);
    tensors.beta = device.upload(&[1.0f32; 4], [4]).unwrap();
    let running = Running {
        mean: &tensors.mean,
        var: &tensors.var,
        num_batches_tracked: None,
    };
    let forward = Forward {
        state: Some(&tensors.state),
        beta: Some(&tensors.beta),
        running: Some(running),
        ..Forward::new(&tensors.x, &tensors.y)
    };
    let mut recorder = device.recorder();
    expect(
        functional::forward(&mut recorder, &forward, &tensors.options, Mode::TRAIN),
        &["beta"],
    );
    recorder.submit().unwrap();
    assert_eq!(device.download::<f32>(&tensors.y).unwrap(), [1.0; 12]);
    assert_eq!(device.download::<f32>(&tensors.state).unwrap(), [0.0; 64]);
    assert_eq!(device.download::<f32>(&tensors.mean).unwrap(), [1.0; 3]);
}
