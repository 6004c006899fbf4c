//! What is read from 16 bits and stored in them, value by value, and who may have them.

use half::{bf16, f16};
use wgnorm::functional::{self, Backward, Forward, Running};
use wgnorm::{BatchNorm, BatchNormOptions, DType, Device, Mode, PlanOptions, Shape};

use crate::stored::{self, HALVES};
use crate::{device, plans};

/// Runs x [rows, C] by the running statistics 0 and 1, so that y is x plus beta.
fn shifted(device: &Device, dtype: DType, x: &[f32], beta: &[f32], plan: PlanOptions) -> Vec<f32> {
    let shape = Shape::from([x.len() / beta.len(), beta.len()]);
    let x = stored::upload(device, x, &shape, dtype);
    let y = device.empty(&shape, dtype).unwrap();
    let vector = |values: &[f32]| device.upload(values, [values.len()]).unwrap();
    let eps = 1.0 / 1024.0;
    let mean = vector(&vec![0.0; beta.len()]);
    let var = vector(&vec![1.0 - eps; beta.len()]);
    let beta = vector(beta);
    let forward = Forward {
        beta: Some(&beta),
        running: Some(Running {
            mean: &mean,
            var: &var,
            num_batches_tracked: None,
        }),
        ..Forward::new(&x, &y)
    };
    let options = BatchNormOptions {
        eps: eps.into(),
        plan,
        ..BatchNormOptions::default()
    };
    let mut recorder = device.recorder();
    functional::forward(&mut recorder, &forward, &options, Mode::EVAL).unwrap();
    recorder.submit().unwrap();
    stored::download(device, &y)
}

/// All 65,536 patterns of both types go in and come out.
#[test]
fn every_half_is_read_and_written() {
    let Some(device) = &device() else { return };
    for dtype in HALVES {
        let all = (0..=u16::MAX).map(|bits| match dtype {
            DType::F16 => f16::from_bits(bits).to_f32(),
            _ => bf16::from_bits(bits).to_f32(),
        });
        let all: Vec<f32> = all.collect();
        for count in [1, 64, 65_536] {
            for plan in plans::chosen() {
                let got = shifted(device, dtype, &all, &vec![0.0; count], plan);
                for (&x, &y) in all.iter().zip(&got) {
                    // The smallest bf16 are no normal f32, which GPUs may take for 0.
                    let flushed = x.is_subnormal() && y == 0.0;
                    let same = x == y || x.is_nan() && y.is_nan();
                    assert!(same || flushed, "{dtype}: {x:e} came out as {y:e}");
                }
            }
        }
    }
}

/// Every tie between two halves, and what lies beside it, is rounded as the `half` crate does.
#[test]
fn what_lies_between_two_halves_is_rounded_to_nearest() {
    let Some(device) = &device() else { return };
    for dtype in HALVES {
        let value = |bits: u16| match dtype {
            DType::F16 => f16::from_bits(bits).to_f64(),
            _ => bf16::from_bits(bits).to_f64(),
        };
        let mut betas = vec![f32::NAN, -f32::NAN, f32::INFINITY, f32::MAX, f32::MIN];
        betas.extend([65_504.0, 65_519.996, 65_520.0, -65_520.0, 65_536.0, 1e9]);
        for bits in (0..0x7fff).filter(|&bits| value(bits + 1).is_finite()) {
            let tie = value(bits).midpoint(value(bits + 1)) as f32;
            let beside = [tie, f32::from_bits(tie.to_bits() + 1)];
            betas.extend(
                beside
                    .into_iter()
                    .chain([f32::from_bits(tie.to_bits() - 1), -tie]),
            );
        }
        betas.retain(|beta| !beta.is_subnormal());
        let want = stored::rounded(betas.clone(), dtype);
        for plan in plans::chosen() {
            let got = shifted(device, dtype, &vec![0.0; 2 * betas.len()], &betas, plan);
            for (i, (&y, &beta)) in got.iter().zip(betas.iter().cycle()).enumerate() {
                let want = want[i % betas.len()];
                let same = y == want || y.is_nan() && want.is_nan();
                let flushed = want.is_subnormal() && y == 0.0;
                assert!(same || flushed, "{dtype}: {beta:e} is {y:e}, not {want:e}");
            }
        }
    }
}

#[test]
fn tensors_of_two_types_are_refused_with_both() {
    let Some(device) = &device() else { return };
    let halves = || device.upload(&[f16::ONE; 12], [4, 3]).unwrap();
    let other = device.upload(&[bf16::ONE; 12], [4, 3]).unwrap();
    let floats = device.upload(&[1.0f32; 12], [4, 3]).unwrap();
    let state = device.upload(&[0.0f32; 64], [64]).unwrap();
    let (x, y, dy) = (halves(), halves(), halves());
    let forward = Forward {
        state: Some(&state),
        ..Forward::new(&x, &y)
    };
    let options = BatchNormOptions::default();
    let mut recorder = device.recorder();
    let mut refused = |forward: Forward<'_>, name, expected, got| {
        let error = functional::forward(&mut recorder, &forward, &options, Mode::RECOMPUTE);
        let message = error.unwrap_err().to_string();
        assert_eq!(
            message,
            format!("{name}: expected element type {expected}, got {got}")
        );
    };
    refused(
        Forward {
            y: &other,
            ..forward
        },
        "y",
        "f16",
        "bf16",
    );
    refused(
        Forward {
            y: &floats,
            ..forward
        },
        "y",
        "f16",
        "f32",
    );
    refused(
        Forward {
            x: &floats,
            ..forward
        },
        "y",
        "f32",
        "f16",
    );
    let gamma = device.upload(&[f16::ONE; 3], [3]).unwrap();
    refused(
        Forward {
            gamma: Some(&gamma),
            ..forward
        },
        "gamma",
        "f32",
        "f16",
    );
    let integers = device.upload(&[1u32; 12], [4, 3]).unwrap();
    refused(
        Forward {
            x: &integers,
            ..forward
        },
        "x",
        "f32",
        "u32",
    );
    let backward = Backward {
        dx: Some(&floats),
        ..Backward::new(&x, &dy, &state)
    };
    let statistics = Mode::TRAIN.statistics;
    for (backward, name, got) in [
        (backward, "dx", "f32"),
        (
            Backward {
                dy: &other,
                ..backward
            },
            "dy",
            "bf16",
        ),
    ] {
        let error = functional::backward(&mut recorder, &backward, &options, statistics);
        let message = error.unwrap_err().to_string();
        assert_eq!(
            message,
            format!("{name}: expected element type f16, got {got}")
        );
    }
}

#[test]
fn layers_keep_the_type_of_x() {
    let Some(device) = &device() else { return };
    for dtype in HALVES {
        for shape in [vec![4, 3, 5, 5], vec![5, 3], vec![0, 3, 2]] {
            let shape = Shape::from(&shape[..]);
            let ones = vec![1.0; shape.numel()];
            let x = stored::upload(device, &ones, &shape, dtype);
            let dy = stored::upload(device, &ones, &shape, dtype);
            let norm = BatchNorm::new(device, 3, BatchNormOptions::default()).unwrap();
            let mut recorder = device.recorder();
            let (y, saved) = norm.forward_train(&mut recorder, &x).unwrap();
            let gradients = norm.backward(&mut recorder, &x, &dy, &saved).unwrap();
            let inferred = norm.infer(&mut recorder, &x).unwrap();
            recorder.submit().unwrap();
            for tensor in [&y, &gradients.dx, &inferred] {
                assert_eq!((tensor.dtype(), tensor.shape()), (dtype, &shape));
            }
            assert_eq!(stored::download(device, &y), vec![0.0; shape.numel()]);
            let dgamma = gradients.dgamma.unwrap();
            assert_eq!(dgamma.dtype(), DType::F32);
            assert_eq!(stored::download(device, &dgamma), [0.0; 3]);
        }
    }
}
