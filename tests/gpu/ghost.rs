//! Ghost batch norm: the reference of every sub-batch, and running statistics that follow their average.

use wgnorm::functional::{self, Backward, Forward, NormOptions, Running};
use wgnorm::state::NormState;
use wgnorm::{
    Activation, BatchNorm, BatchNormOptions, DType, Device, Error, GhostBatchNorm,
    GhostBatchNormOptions, Mode, Momentum, Norm, Shape, Statistics, Tensor, With, reference,
};

use crate::bounds::{SUM, hold_all, l2, worst};
use crate::case::{Case, Inputs};
use crate::guarded::Guarded;
use crate::others::BINDS_4096;
use crate::{device, plans, stored};

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// Float64 of each sub-batch, put together.
#[derive(Default)]
struct Expected {
    y: Vec<f64>,
    dx: Vec<f64>,
    dgamma: Vec<f64>,
    dbeta: Vec<f64>,
    terms: Vec<f64>,
    mean: Vec<f64>,
    var: Vec<f64>,
}

fn expected(case: &Case, inputs: &Inputs, samples: usize) -> Expected {
    let dims = case.shape.dims();
    let shape = Shape::from([&[samples], &dims[1..]].concat());
    let (gamma, beta) = (wide(&inputs.gamma), wide(&inputs.beta));
    let oracle = reference::BatchNorm {
        shape: &shape,
        axis: case.options.channel_axis,
        gamma: Some(&gamma),
        beta: Some(&beta),
        eps: case.options.eps,
    };
    let zeros = || vec![0.0; case.channels()];
    let mut all = Expected {
        dgamma: zeros(),
        dbeta: zeros(),
        terms: zeros(),
        mean: zeros(),
        var: zeros(),
        ..Expected::default()
    };
    let parts = (dims[0] / samples) as f64;
    let x = inputs.x.chunks_exact(shape.numel());
    for (x, dy) in x.zip(inputs.dy.chunks_exact(shape.numel())) {
        let (x, dy) = (wide(x), wide(dy));
        let forward = oracle.forward(&x);
        let gradients = oracle.backward(&x, &dy);
        let var = reference::unbiased(&forward.var, shape.numel() / case.channels());
        let sizes: Vec<f64> = dy.iter().map(|v| 4.0 * v.abs()).collect();
        let terms = reference::channel_sums(&sizes, &shape, oracle.axis);
        for c in 0..case.channels() {
            all.dgamma[c] += gradients.dgamma[c];
            all.dbeta[c] += gradients.dbeta[c];
            all.terms[c] += terms[c];
            all.mean[c] += forward.mean[c] / parts;
            all.var[c] += var[c] / parts;
        }
        all.y.extend(forward.y);
        all.dx.extend(gradients.dx);
    }
    all
}

fn check(device: &Device, case: &Case, samples: usize) {
    let options = GhostBatchNormOptions {
        samples,
        batch: case.options,
    };
    let inputs = case.inputs();
    let vector = |values: &[f32]| Guarded::vector(device, values);
    let [x, dy] = [&inputs.x, &inputs.dy].map(|v| Guarded::input(device, v, &case.shape));
    let [y, dx] = [(); 2].map(|()| Guarded::poisoned(device, &case.shape));
    let (gamma, beta) = (vector(&inputs.gamma), vector(&inputs.beta));
    let (mean, var) = (vector(&inputs.running_mean), vector(&inputs.running_var));
    let channels = Shape::from([case.channels()]);
    let [dgamma, dbeta] = [(); 2].map(|()| Guarded::poisoned(device, &channels));
    let tracked = Guarded::new(device, &[inputs.tracked], Shape::from([1]), DType::U32);
    let len = functional::state_len(device, &case.shape, &options).unwrap();
    let state = Guarded::poisoned(device, &Shape::from([len]));
    let forward = Forward {
        state: Some(&state.tensor),
        gamma: Some(&gamma.tensor),
        beta: Some(&beta.tensor),
        running: Some(Running {
            mean: &mean.tensor,
            var: &var.tensor,
            num_batches_tracked: Some(&tracked.tensor),
        }),
        ..Forward::new(&x.tensor, &y.tensor)
    };
    let backward = Backward {
        gamma: Some(&gamma.tensor),
        dx: Some(&dx.tensor),
        dgamma: Some(&dgamma.tensor),
        dbeta: Some(&dbeta.tensor),
        ..Backward::new(&x.tensor, &dy.tensor, &state.tensor)
    };
    let mut step = device.recorder();
    functional::forward(&mut step, &forward, &options, Mode::TRAIN).unwrap();
    functional::backward(&mut step, &backward, &options, Statistics::Batch).unwrap();
    step.submit().unwrap();

    let want = expected(case, &inputs, samples);
    let weight = match case.options.momentum {
        Momentum::Cumulative => 1.0 / f64::from(inputs.tracked + 1),
        _ => 0.1,
    };
    let (mut want_mean, mut want_var) = (wide(&inputs.running_mean), wide(&inputs.running_var));
    reference::update_running(&mut want_mean, &want.mean, weight);
    reference::update_running(&mut want_var, &want.var, weight);
    let sizes: Vec<f64> = want
        .var
        .iter()
        .zip(&want.mean)
        .map(|(v, m)| v.sqrt() + m.abs())
        .collect();
    let of = |tensor: &Guarded| tensor.output(device);
    let (y, dx) = (of(&y), of(&dx));
    hold_all(
        &(case, samples),
        &[
            ("y", (l2(&y, &want.y, &want.y), 3e-7)),
            ("dx", (l2(&dx, &want.dx, &want.dx), 3e-7)),
            (
                "dgamma",
                (worst(&of(&dgamma), &want.dgamma, &want.terms), SUM),
            ),
            ("dbeta", (worst(&of(&dbeta), &want.dbeta, &want.terms), SUM)),
            ("running_mean", (worst(&of(&mean), &want_mean, &sizes), SUM)),
            ("running_var", (l2(&of(&var), &want_var, &want_var), 3e-7)),
        ],
    );
    assert_eq!(tracked.words(device), [inputs.tracked + 1], "{case:?}");
}

#[test]
fn every_sub_batch_has_statistics_of_its_own() {
    let Some(device) = &device() else { return };
    let shapes: [(&[usize], usize, usize); 9] = [
        (&[12, 3, 8, 8], 1, 4),
        // In turns on software drivers.
        (&[10, 256, 7, 7], 1, 5),
        (&[6, 128, 4, 4], 1, 3),
        (&[6, 5, 7, 7], 1, 2),
        (&[12, 3, 9], 1, 12),
        (&[256, 20], 1, 32),
        (&[700, 9], 1, 70),
        (&[8, 9, 7, 3], 3, 4),
        (&[4, 3, 64, 70], 1, 1),
    ];
    for (shape, axis, samples) in shapes {
        let case = Case::new(shape, axis);
        for plan in plans::all(device, &case) {
            let mut case = case.clone().planned(plan);
            let options = GhostBatchNormOptions {
                samples,
                batch: case.options,
            };
            if functional::state_len(device, &case.shape, &options).is_err() {
                // The strategy does not apply to sub-batches.
                assert!(plan.strategy.is_some(), "{case:?}");
                continue;
            }
            check(device, &case, samples);
            case.options.momentum = Momentum::Cumulative;
            case.offset = 1e5;
            check(device, &case, samples);
        }
    }
}

#[test]
fn sub_batches_of_windowed_tensors() {
    let Some(device) = &BINDS_4096.get() else {
        return;
    };
    let shapes: [(&[usize], usize, usize); 3] = [
        (&[8, 3, 7, 9], 1, 2),
        (&[4, 2, 700], 1, 2),
        (&[40, 25, 5], 2, 10),
    ];
    for (shape, axis, samples) in shapes {
        let case = Case::new(shape, axis);
        for plan in plans::chosen() {
            check(device, &case.clone().planned(plan), samples);
        }
    }
}

/// y, dx, dresidual, dgamma and dbeta of a training step with x, dy and a residual.
fn step<O: NormOptions>(norm: &Norm<O>, device: &Device, inputs: &[Tensor; 3]) -> [Vec<f32>; 5] {
    let [x, dy, residual] = inputs;
    let with = With {
        residual: Some(residual),
        ..With::default()
    };
    let mut step = device.recorder();
    let (y, saved) = norm
        .forward_with(&mut step, x, with, Mode::RECOMPUTE)
        .unwrap();
    let got = norm.backward(&mut step, x, dy, &saved).unwrap();
    step.submit().unwrap();
    let [dresidual, dgamma, dbeta] =
        [got.dresidual, got.dgamma, got.dbeta].map(|gradient| gradient.unwrap());
    [y, got.dx, dresidual, dgamma, dbeta].map(|tensor| stored::download(device, &tensor))
}

/// Holds sub-batches of two samples with a residual and relu against a batch norm of each two.
fn check_tailed(device: &Device, dtype: DType, dims: [usize; 4], axis: usize) {
    let case = Case::new(dims, axis);
    let inputs = case.inputs();
    let batch = BatchNormOptions {
        activation: Activation::Relu,
        ..case.options
    };
    let state = NormState {
        shape: Shape::from([case.channels()]),
        gamma: Some(inputs.gamma),
        beta: Some(inputs.beta),
        running: None,
    };
    let residual: Vec<f32> = inputs.x.iter().rev().copied().collect();
    let values = [inputs.x, inputs.dy, residual];
    let options = GhostBatchNormOptions { samples: 2, batch };
    let ghost = GhostBatchNorm::from_state(device, &state, options).unwrap();
    let whole = Shape::from(dims);
    let inputs = values
        .each_ref()
        .map(|values| stored::upload(device, values, &whole, dtype));
    let got = step(&ghost, device, &inputs);

    let plain = BatchNorm::from_state(device, &state, batch).unwrap();
    let part = Shape::from([&[2], &dims[1..]].concat());
    let [mut y, mut dx, mut dresidual] = [const { Vec::new() }; 3];
    let [mut dgamma, mut dbeta] = [(); 2].map(|()| vec![0.0; case.channels()]);
    for begin in (0..whole.numel()).step_by(part.numel()) {
        let of_part = |values: &Vec<f32>| {
            let values = &values[begin..begin + part.numel()];
            stored::upload(device, values, &part, dtype)
        };
        let of_part = step(&plain, device, &values.each_ref().map(of_part));
        let rows = [&mut y, &mut dx, &mut dresidual].into_iter();
        rows.zip(&of_part).for_each(|(all, part)| all.extend(part));
        for (sums, part) in [&mut dgamma, &mut dbeta].into_iter().zip(&of_part[3..]) {
            sums.iter_mut().zip(part).for_each(|(sum, v)| *sum += v);
        }
    }
    // A last place of what is stored may differ.
    let off = match dtype {
        DType::F16 => 2e-3,
        DType::Bf16 => 1.6e-2,
        _ => 2e-6,
    };
    let want = [y, dx, dresidual, dgamma, dbeta];
    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
        assert_eq!(got.len(), want.len(), "{case:?}");
        let off = if i < 3 { off } else { 4e-6 };
        let most = want.iter().fold(1.0f32, |most, v| most.max(v.abs()));
        for (got, want) in got.iter().zip(want) {
            let is_close = (got - want).abs() <= off * most;
            assert!(is_close, "{case:?} {dtype:?} {i}: {got} {want}");
        }
    }
}

#[test]
fn what_follows_a_sub_batch_as_it_follows_a_batch() {
    let Some(device) = &device() else { return };
    for dtype in [DType::F32, DType::F16, DType::Bf16] {
        for (dims, axis) in [
            ([6, 5, 7, 7], 1),
            ([6, 4, 8, 12], 1),
            ([6, 9, 3, 10], 3),
            ([6, 3, 64, 64], 1),
        ] {
            check_tailed(device, dtype, dims, axis);
        }
    }
}

#[test]
fn samples_that_are_no_whole_sub_batches() {
    let Some(device) = &device() else { return };
    let options = GhostBatchNormOptions {
        samples: 4,
        ..GhostBatchNormOptions::default()
    };
    let norm = GhostBatchNorm::new(device, 2, options).unwrap();
    let mut step = device.recorder();
    for n in [1, 3, 6] {
        let x = device.upload(&vec![3.0f32; 2 * n], [n, 2]).unwrap();
        let error = norm.forward_train(&mut step, &x).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("multiple of 4") && text.contains(&format!("[{n}, 2]")),
            "{text}"
        );
        // Inference is that of batch norm, and so is a frozen layer.
        norm.infer(&mut step, &x).unwrap();
        let (_, saved) = norm.forward(&mut step, &x, Mode::EVAL).unwrap();
        let dy = device.upload(&vec![1.0f32; 2 * n], [n, 2]).unwrap();
        norm.backward(&mut step, &x, &dy, &saved).unwrap();
    }
    let empty = device.upload::<f32>(&[], [0, 2]).unwrap();
    norm.forward_train(&mut step, &empty).unwrap();
    step.submit().unwrap();
    let none = GhostBatchNormOptions {
        samples: 0,
        ..options
    };
    let error = GhostBatchNorm::new(device, 2, none).unwrap_err();
    assert!(matches!(
        error,
        Error::Option {
            name: "samples",
            ..
        }
    ));
    let one = GhostBatchNormOptions {
        samples: 1,
        ..options
    };
    let x = device.upload(&[1.0f32; 8], [4, 2]).unwrap();
    let norm = GhostBatchNorm::new(device, 2, one).unwrap();
    let error = norm.forward_train(&mut device.recorder(), &x).unwrap_err();
    assert!(matches!(error, Error::OneValuePerChannel { .. }), "{error}");
}
