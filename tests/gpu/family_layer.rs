//! The layers of batch norm's relatives: what they are made of, what they refuse, and that they do what
//! the functional layer does.

use wgnorm::{
    BatchRenorm, BatchRenormOptions, Device, Error, GroupNorm, GroupNormOptions, InstanceNorm,
    InstanceNormOptions, LayerNorm, LayerNormOptions, Mode, RenormSchedule, RmsNorm,
    RmsNormOptions, Shape, Statistics, Tensor, WeightNorm, WeightNormOptions, functional,
    reference,
};

use crate::bounds::l2;
use crate::device;

const BOUND: f64 = 3e-7;

fn wave(n: usize, step: f32) -> Vec<f32> {
    (0..n)
        .map(|i| (i as f32 * step).sin() + 0.1 * (i % 7) as f32)
        .collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| value.into()).collect()
}

fn close(device: &Device, got: &Tensor, want: &[f64]) {
    let got: Vec<f32> = device.download(got).unwrap();
    let error = l2(&got, want, want);
    assert!(error < BOUND, "off by {error:.1e}");
}

/// x and dy on the host and on the device.
struct Step {
    x: Vec<f64>,
    dy: Vec<f64>,
    on_device: [Tensor; 2],
}

impl Step {
    fn new(device: &Device, shape: &Shape) -> Self {
        let (x, dy) = (wave(shape.numel(), 0.7), wave(shape.numel(), 1.3));
        Self {
            on_device: [&x, &dy].map(|values| device.upload(values, shape).unwrap()),
            x: wide(&x),
            dy: wide(&dy),
        }
    }
}

#[test]
fn layers_of_rows_have_the_normalized_shape() {
    let Some(device) = &device() else { return };
    let shape = Shape::from([5, 6, 8]);
    let step = Step::new(device, &shape);
    let [x, dy] = &step.on_device;
    let layer = LayerNorm::new(device, [6, 8], LayerNormOptions::default()).unwrap();
    assert_eq!(layer.options().normalized_dims, 2);
    let gamma = wave(48, 0.2);
    let beta = wave(48, 0.4);
    device.write(layer.gamma().unwrap(), &gamma).unwrap();
    device.write(layer.beta().unwrap(), &beta).unwrap();
    let mut recorder = device.recorder();
    let (y, saved) = layer.forward_train(&mut recorder, x).unwrap();
    let inferred = layer.infer(&mut recorder, x).unwrap();
    let gradients = layer.backward(&mut recorder, x, dy, &saved).unwrap();
    recorder.submit().unwrap();
    let (gamma, beta) = (wide(&gamma), wide(&beta));
    let oracle = reference::LayerNorm {
        shape: &shape,
        normalized_dims: 2,
        gamma: Some(&gamma),
        beta: Some(&beta),
        eps: 1e-5,
    };
    let want = oracle.forward(&step.x);
    close(device, &y, &want.y);
    close(device, &inferred, &want.y);
    assert_eq!(saved.statistics(device).unwrap().mean.len(), 5);
    let want = oracle.backward(&step.x, &step.dy);
    close(device, &gradients.dx, &want.dx);
    close(device, gradients.dgamma.as_ref().unwrap(), &want.dgamma);
    close(device, gradients.dbeta.as_ref().unwrap(), &want.dbeta);
    assert_eq!(gradients.dgamma.unwrap().shape(), &Shape::from([6, 8]));

    let rms = RmsNorm::new(device, [8], RmsNormOptions::default()).unwrap();
    assert!(rms.beta().is_none());
    let wrong = rms.forward_train(
        &mut device.recorder(),
        &device.upload(&[0.0f32; 9], [3, 3]).unwrap(),
    );
    assert_eq!(
        wrong.unwrap_err().to_string(),
        "x: expected [8] as its last dimensions, got [3, 3]"
    );
    // As many elements in other dimensions are other rows.
    let other = device.upload(&[0.0f32; 48], [1, 8, 6]).unwrap();
    assert!(layer.forward_train(&mut device.recorder(), &other).is_err());
}

#[test]
fn gradients_that_nobody_wants_are_left_out() {
    let Some(device) = &device() else { return };
    let shape = Shape::from([4, 6, 8]);
    let step = Step::new(device, &shape);
    let [x, dy] = &step.on_device;
    let group_options = GroupNormOptions {
        groups: 2,
        ..GroupNormOptions::default()
    };
    let layer = LayerNorm::new(device, [8], LayerNormOptions::default()).unwrap();
    let group = GroupNorm::new(device, 6, group_options).unwrap();
    for (dx, dgamma, dbeta) in [
        (true, false, false),
        (false, true, false),
        (true, false, true),
    ] {
        let wanted = wgnorm::Wanted {
            dx,
            dgamma,
            dbeta,
            dresidual: false,
        };
        let mut recorder = device.recorder();
        let (_, saved) = layer.forward_train(&mut recorder, x).unwrap();
        let some = layer
            .backward_wanted(&mut recorder, x, dy, &saved, wanted)
            .unwrap();
        let all = layer.backward(&mut recorder, x, dy, &saved).unwrap();
        let (_, saved) = group.forward_train(&mut recorder, x).unwrap();
        let some_of_group = group
            .backward_wanted(&mut recorder, x, dy, &saved, wanted)
            .unwrap();
        let all_of_group = group.backward(&mut recorder, x, dy, &saved).unwrap();
        recorder.submit().unwrap();
        for (some, all) in [(some, all), (some_of_group, all_of_group)] {
            let pairs = [
                (dx, some.dx, Some(all.dx)),
                (dgamma, some.dgamma, all.dgamma),
                (dbeta, some.dbeta, all.dbeta),
            ];
            for (wanted, some, all) in pairs {
                assert_eq!(some.is_some(), wanted);
                if let Some(some) = some {
                    let all: Vec<f32> = device.download(&all.unwrap()).unwrap();
                    close(device, &some, &wide(&all));
                }
            }
        }
    }
}

#[test]
fn instances_are_bare_unless_asked() {
    let Some(device) = &device() else { return };
    let shape = Shape::from([3, 4, 5, 5]);
    let step = Step::new(device, &shape);
    let x = &step.on_device[0];
    let bare = InstanceNorm::new(4, InstanceNormOptions::default()).unwrap();
    assert!(bare.gamma().is_none() && bare.running_mean().is_none());
    let full = bare
        .clone()
        .with_gamma(device)
        .unwrap()
        .with_beta(device)
        .unwrap();
    let full = full.with_running_statistics(device).unwrap();
    let mut recorder = device.recorder();
    let (y, _) = bare.forward_train(&mut recorder, x).unwrap();
    let (same, _) = full.forward_train(&mut recorder, x).unwrap();
    let inferred = full.infer(&mut recorder, x).unwrap();
    recorder.submit().unwrap();
    let oracle = reference::InstanceNorm {
        shape: &shape,
        axis: 1,
        gamma: None,
        beta: None,
        eps: 1e-5,
    };
    let want = oracle.forward(&step.x).y;
    close(device, &y, &want);
    close(device, &same, &want);
    // The running statistics have moved a tenth of the way and now normalize.
    let average = oracle.averaged_moments(&step.x);
    let (mut mean, mut var) = (vec![0.0; 4], vec![1.0; 4]);
    reference::update_running(&mut mean, &average.mean, 0.1);
    reference::update_running(&mut var, &reference::unbiased(&average.var, average.n), 0.1);
    let batch = reference::BatchNorm {
        shape: &shape,
        axis: 1,
        gamma: None,
        beta: None,
        eps: 1e-5,
    };
    close(device, &inferred, &batch.normalize(&step.x, &mean, &var));
    assert_eq!(
        device
            .download::<u32>(full.num_batches_tracked().unwrap())
            .unwrap(),
        [1]
    );
}

#[test]
fn a_schedule_widens_a_renorm_between_forward_and_backward() {
    let Some(device) = &device() else { return };
    let shape = Shape::from([6, 3, 4]);
    let step = Step::new(device, &shape);
    let [x, dy] = &step.on_device;
    let schedule = RenormSchedule {
        start: 1,
        r_end: 2,
        d_end: 2,
        ..RenormSchedule::default()
    };
    let mut layer = BatchRenorm::new(device, 3, BatchRenormOptions::default()).unwrap();
    layer.set_limits(schedule.at(1));
    let mut recorder = device.recorder();
    let (y, saved) = layer.forward(&mut recorder, x, Mode::RECOMPUTE).unwrap();
    // The next step's limits are not those of this backward.
    layer.set_limits(schedule.at(2));
    let gradients = layer.backward(&mut recorder, x, dy, &saved).unwrap();
    let (wider, _) = layer.forward(&mut recorder, x, Mode::RECOMPUTE).unwrap();
    recorder.submit().unwrap();
    let ones = [1.0; 3];
    let (mean, var) = ([0.0; 3], [1.0; 3]);
    let oracle = |(r_max, d_max)| reference::BatchRenorm {
        shape: &shape,
        axis: 1,
        gamma: Some(&ones),
        beta: None,
        eps: 1e-5,
        r_max,
        d_max,
    };
    close(
        device,
        &y,
        &oracle((1.0, 0.0)).forward(&step.x, &mean, &var).y,
    );
    close(
        device,
        &wider,
        &oracle((3.0, 5.0)).forward(&step.x, &mean, &var).y,
    );
    let want = oracle((1.0, 0.0)).backward(&step.x, &step.dy, &mean, &var);
    close(device, &gradients.dx, &want.dx);
    close(device, gradients.dgamma.as_ref().unwrap(), &want.dgamma);
}

#[test]
fn a_weight_norm_begins_as_the_weight_itself() {
    let Some(device) = &device() else { return };
    for dim in 0..3 {
        let weight = wave(4 * 5 * 6, 0.9);
        let options = WeightNormOptions {
            dim,
            ..WeightNormOptions::default()
        };
        let layer = WeightNorm::new(device, &weight, [4, 5, 6], options).unwrap();
        assert_eq!(layer.g().shape(), &Shape::from([[4, 5, 6][dim]]));
        let [v, dw] = [(); 2].map(|()| device.upload(&weight, [4, 5, 6]).unwrap());
        let mut recorder = device.recorder();
        let (w, saved) = layer.forward(&mut recorder, &v).unwrap();
        let gradients = layer.backward(&mut recorder, &v, &dw, &saved).unwrap();
        recorder.submit().unwrap();
        close(device, &w, &wide(&weight));
        // dw along v itself only makes it longer.
        let g: Vec<f32> = device.download(layer.g()).unwrap();
        close(device, &gradients.dg, &wide(&g));
    }
    let short = WeightNorm::new(device, &[1.0, 2.0], [3, 1], WeightNormOptions::default());
    assert!(matches!(
        short,
        Err(Error::Length {
            expected: 3,
            got: 2,
            ..
        })
    ));
    let layer = WeightNorm::new(device, &[1.0, 2.0], [2, 1], WeightNormOptions::default()).unwrap();
    let other = device.upload(&[1.0f32; 3], [3, 1]).unwrap();
    let error = layer.forward(&mut device.recorder(), &other).unwrap_err();
    assert!(error.to_string().starts_with("g: expected [3]"), "{error}");
}

#[test]
fn options_outside_their_range_are_refused_with_their_value() {
    let Some(device) = &device() else { return };
    let groups = GroupNormOptions {
        groups: 3,
        ..GroupNormOptions::default()
    };
    let error = GroupNorm::new(device, 8, groups).unwrap_err().to_string();
    assert!(
        error.starts_with("groups: ") && error.contains("3 for 8 channels"),
        "{error}"
    );
    for (r_max, d_max, name) in [
        (0.5, 1.0, "r_max"),
        (f64::NAN, 1.0, "r_max"),
        (2.0, -1.0, "d_max"),
    ] {
        let options = BatchRenormOptions {
            r_max,
            d_max,
            ..BatchRenormOptions::default()
        };
        let error = BatchRenorm::new(device, 8, options).unwrap_err();
        assert!(
            matches!(error, Error::Option { name: n, .. } if n == name),
            "{error}"
        );
    }
    let eps = LayerNormOptions {
        eps: 0.0,
        ..LayerNormOptions::default()
    };
    let error = LayerNorm::new(device, [8], eps).unwrap_err();
    assert!(
        matches!(error, Error::Option { name: "eps", .. }),
        "{error}"
    );
    let first = InstanceNormOptions {
        channel_axis: 0,
        ..InstanceNormOptions::default()
    };
    assert!(matches!(
        InstanceNorm::new(8, first),
        Err(Error::Shape { .. })
    ));
    assert!(LayerNorm::new(device, [0], LayerNormOptions::default()).is_err());
}

#[test]
fn modes_that_a_norm_does_not_have_are_refused() {
    let Some(device) = &device() else { return };
    let x = device.upload(&wave(24, 0.5), [2, 3, 4]).unwrap();
    let layer = LayerNorm::new(device, [4], LayerNormOptions::default()).unwrap();
    let mut recorder = device.recorder();
    for mode in [Mode::TRAIN, Mode::EVAL] {
        let error = layer.forward(&mut recorder, &x, mode).unwrap_err();
        assert!(
            matches!(error, Error::Option { name: "mode", .. }),
            "{error}"
        );
    }
    let backward = functional::Backward::new(&x, &x, &x);
    let (options, running) = (LayerNormOptions::default(), Statistics::Running);
    let error = functional::backward(&mut recorder, &backward, &options, running).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Option {
                name: "statistics",
                ..
            }
        ),
        "{error}"
    );
    let bare = InstanceNorm::new(3, InstanceNormOptions::default()).unwrap();
    let error = bare.forward(&mut recorder, &x, Mode::EVAL).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Missing {
                name: "running_mean",
                ..
            }
        ),
        "{error}"
    );
    // One value has no variance, but a row of one is a row.
    let single = device.upload(&[1.0f32, 2.0, 3.0], [1, 3, 1]).unwrap();
    let error = bare.forward_train(&mut recorder, &single).unwrap_err();
    assert!(matches!(error, Error::OneValuePerChannel { .. }), "{error}");
    let one = LayerNorm::new(device, [1], LayerNormOptions::default()).unwrap();
    let (y, _) = one.forward_train(&mut recorder, &single).unwrap();
    recorder.submit().unwrap();
    assert_eq!(device.download::<f32>(&y).unwrap(), [0.0; 3]);
}

#[test]
fn empty_tensors_have_gradients_of_zero() {
    let Some(device) = &device() else { return };
    let none: [f32; 0] = [];
    let layer = LayerNorm::new(device, [4], LayerNormOptions::default()).unwrap();
    let x = device.upload(&none, [0, 4]).unwrap();
    let mut recorder = device.recorder();
    let (y, saved) = layer.forward_train(&mut recorder, &x).unwrap();
    let gradients = layer.backward(&mut recorder, &x, &x, &saved).unwrap();
    let options = GroupNormOptions {
        groups: 2,
        ..GroupNormOptions::default()
    };
    let group = GroupNorm::new(device, 4, options).unwrap();
    let planes = device.upload(&none, [0, 4, 3]).unwrap();
    let (_, saved) = group.forward_train(&mut recorder, &planes).unwrap();
    let of_group = group
        .backward(&mut recorder, &planes, &planes, &saved)
        .unwrap();
    recorder.submit().unwrap();
    assert!(device.download::<f32>(&y).unwrap().is_empty());
    for dgamma in [gradients.dgamma, of_group.dgamma] {
        assert_eq!(device.download::<f32>(&dgamma.unwrap()).unwrap(), [0.0; 4]);
    }
}
