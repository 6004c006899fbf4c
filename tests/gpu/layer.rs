//! The layer: a training step, inference, what it refuses to count twice, and the async twins.

use wgnorm::{BatchNorm, BatchNormOptions, DType, Mode, Shape, Wanted, reference};

use crate::bounds::l2;
use crate::case::Case;
use crate::device;

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

#[test]
fn a_new_layer_has_the_values_of_pytorch() {
    let Some(device) = &device() else { return };
    let layer = BatchNorm::new(device, 3, BatchNormOptions::default()).unwrap();
    let read = |tensor: Option<&wgnorm::Tensor>| device.download::<f32>(tensor.unwrap()).unwrap();
    assert_eq!(read(layer.gamma()), [1.0; 3]);
    assert_eq!(read(layer.beta()), [0.0; 3]);
    assert_eq!(read(layer.running_mean()), [0.0; 3]);
    assert_eq!(read(layer.running_var()), [1.0; 3]);
    let tracked = layer.num_batches_tracked().unwrap();
    assert_eq!(device.download::<u32>(tracked).unwrap(), [0]);
    let bare = layer
        .without_gamma()
        .without_beta()
        .without_running_statistics();
    assert!(bare.gamma().is_none() && bare.beta().is_none() && bare.running_mean().is_none());
}

#[test]
fn several_steps_and_inference_follow_the_oracle() {
    let Some(device) = &device() else { return };
    let shape = Shape::from([12, 5, 6, 6]);
    let layer = BatchNorm::new(device, 5, BatchNormOptions::default()).unwrap();
    let (mut mean, mut var) = (vec![0.0; 5], vec![1.0; 5]);
    for seed in 0..4 {
        let inputs = Case {
            seed,
            ..Case::new([12, 5, 6, 6], 1)
        }
        .inputs();
        let (x, dy) = (
            device.upload(&inputs.x, &shape).unwrap(),
            device.upload(&inputs.dy, &shape).unwrap(),
        );
        let mut recorder = device.recorder();
        let (y, saved) = layer.forward_train(&mut recorder, &x).unwrap();
        let gradients = layer.backward(&mut recorder, &x, &dy, &saved).unwrap();
        let inferred = layer.infer(&mut recorder, &x).unwrap();
        layer.infer_in_place(&mut recorder, &x).unwrap();
        recorder.submit().unwrap();

        let (x64, dy64) = (wide(&inputs.x), wide(&inputs.dy));
        let oracle = reference::BatchNorm {
            shape: &shape,
            axis: 1,
            gamma: None,
            beta: None,
            eps: 1e-5,
        };
        let forward = oracle.forward(&x64);
        reference::update_running(&mut mean, &forward.mean, 0.1);
        reference::update_running(&mut var, &reference::unbiased(&forward.var, 12 * 36), 0.1);
        let dx = oracle.backward(&x64, &dy64).dx;
        let evaluated = oracle.normalize(&x64, &mean, &var);
        let get = |tensor| device.download::<f32>(tensor).unwrap();
        assert!(l2(&get(&y), &forward.y, &forward.y) < 3e-7);
        assert!(l2(&get(&gradients.dx), &dx, &dx) < 3e-7);
        assert!(l2(&get(&inferred), &evaluated, &evaluated) < 4e-7);
        assert_eq!(get(&x), get(&inferred), "in place differs");
        let statistics = saved.statistics(device).unwrap();
        assert!(l2(&statistics.mean, &forward.mean, &forward.mean) < 3e-7);
        assert!(l2(&statistics.rstd, &forward.rstd, &forward.rstd) < 3e-7);
    }
    let tracked = layer.num_batches_tracked().unwrap();
    assert_eq!(device.download::<u32>(tracked).unwrap(), [4]);
}

#[test]
fn one_sample_at_a_time_infers_the_same_bits_as_a_batch() {
    let Some(device) = &device() else { return };
    let layer = BatchNorm::new(device, 7, BatchNormOptions::default()).unwrap();
    let inputs = Case::new([20, 7], 1).inputs();
    device
        .write(layer.running_mean().unwrap(), &inputs.running_mean)
        .unwrap();
    device
        .write(layer.running_var().unwrap(), &inputs.running_var)
        .unwrap();
    let infer = |values: &[f32]| {
        let x = device.upload(values, [values.len() / 7, 7]).unwrap();
        let mut recorder = device.recorder();
        let y = layer.infer(&mut recorder, &x).unwrap();
        recorder.submit().unwrap();
        device.download::<f32>(&y).unwrap()
    };
    let singly: Vec<f32> = inputs.x.chunks(7).flat_map(infer).collect();
    assert_eq!(singly, infer(&inputs.x));
}

#[test]
fn without_running_statistics_inference_uses_the_batch() {
    let Some(device) = &device() else { return };
    let layer = BatchNorm::new(device, 4, BatchNormOptions::default())
        .unwrap()
        .without_running_statistics();
    let x = device
        .upload(&Case::new([9, 4], 1).inputs().x, [9, 4])
        .unwrap();
    let mut recorder = device.recorder();
    let trained = layer.forward_train(&mut recorder, &x).unwrap().0;
    let inferred = layer.infer(&mut recorder, &x).unwrap();
    recorder.submit().unwrap();
    let [a, b] = [trained, inferred].map(|y| device.download::<f32>(&y).unwrap());
    assert_eq!(a, b);
}

#[test]
fn recomputation_does_not_count_twice() {
    let Some(device) = &device() else { return };
    let layer = BatchNorm::new(device, 4, BatchNormOptions::default()).unwrap();
    let x = device
        .upload(&Case::new([9, 4], 1).inputs().x, [9, 4])
        .unwrap();
    let read = || {
        let mean = device
            .download::<f32>(layer.running_mean().unwrap())
            .unwrap();
        (
            mean,
            device
                .download::<u32>(layer.num_batches_tracked().unwrap())
                .unwrap(),
        )
    };
    let mut recorder = device.recorder();
    let first = layer.forward_train(&mut recorder, &x).unwrap().0;
    recorder.submit().unwrap();
    let after_one = read();
    let mut recorder = device.recorder();
    let second = layer.forward(&mut recorder, &x, Mode::RECOMPUTE).unwrap().0;
    recorder.submit().unwrap();
    assert_eq!(read(), after_one);
    let [a, b] = [first, second].map(|y| device.download::<f32>(&y).unwrap());
    assert_eq!(a, b, "the recomputed y differs");
    // A step that is recorded and dropped counts for nothing.
    let mut dropped = device.recorder();
    layer.forward_train(&mut dropped, &x).unwrap();
    drop(dropped);
    assert_eq!(read(), after_one);
}

#[test]
fn the_saved_statistics_of_a_frozen_layer_are_its_own() {
    let Some(device) = &device() else { return };
    let layer = BatchNorm::new(device, 4, BatchNormOptions::default()).unwrap();
    let inputs = Case::new([9, 4], 1).inputs();
    let (x, dy) = (
        device.upload(&inputs.x, [9, 4]).unwrap(),
        device.upload(&inputs.dy, [9, 4]).unwrap(),
    );
    let wanted = Wanted {
        dx: true,
        dgamma: false,
        dbeta: false,
        dresidual: false,
    };
    let gradient = |update: bool| {
        device
            .write(layer.running_var().unwrap(), &[4.0f32; 4])
            .unwrap();
        let mut recorder = device.recorder();
        let (_, saved) = layer.forward(&mut recorder, &x, Mode::EVAL).unwrap();
        if update {
            layer.forward_train(&mut recorder, &x).unwrap();
        }
        let gradients = layer
            .backward_wanted(&mut recorder, &x, &dy, &saved, wanted)
            .unwrap();
        recorder.submit().unwrap();
        assert!(gradients.dgamma.is_none() && gradients.dbeta.is_none());
        device.download::<f32>(&gradients.dx.unwrap()).unwrap()
    };
    assert_eq!(gradient(false), gradient(true));
}

#[test]
fn an_empty_batch_changes_nothing() {
    let Some(device) = &device() else { return };
    let layer = BatchNorm::new(device, 4, BatchNormOptions::default()).unwrap();
    for shape in [&[0, 4][..], &[3, 4, 0], &[0, 4, 5, 0]] {
        let x = device.upload::<f32>(&[], shape).unwrap();
        let mut recorder = device.recorder();
        let (y, saved) = layer.forward_train(&mut recorder, &x).unwrap();
        let gradients = layer
            .backward(&mut recorder, &x, &x, &saved)
            .unwrap_or_else(|e| panic!("{e}"));
        let inferred = layer.infer(&mut recorder, &x).unwrap();
        recorder.submit().unwrap();
        assert_eq!(y.shape(), x.shape());
        for tensor in [&y, &gradients.dx, &inferred] {
            assert!(device.download::<f32>(tensor).unwrap().is_empty());
        }
        for gradient in [gradients.dgamma, gradients.dbeta] {
            assert_eq!(
                device.download::<f32>(&gradient.unwrap()).unwrap(),
                [0.0; 4]
            );
        }
    }
    let read = |tensor: Option<&wgnorm::Tensor>| device.download::<f32>(tensor.unwrap()).unwrap();
    assert_eq!(read(layer.running_mean()), [0.0; 4]);
    assert_eq!(read(layer.running_var()), [1.0; 4]);
    let tracked = layer.num_batches_tracked().unwrap();
    assert_eq!(device.download::<u32>(tracked).unwrap(), [0]);
}

#[test]
fn async_twins_need_no_blocking_call() {
    let Some(device) = &device() else { return };
    let layer = BatchNorm::new(device, 4, BatchNormOptions::default()).unwrap();
    let x = device
        .upload(&Case::new([9, 4], 1).inputs().x, [9, 4])
        .unwrap();
    let mut recorder = device.recorder();
    let (y, saved) = layer.forward_train(&mut recorder, &x).unwrap();
    recorder.submit().unwrap();
    let (waited, statistics) = pollster::block_on(async {
        let y = device.download_async::<f32>(&y).await.unwrap();
        (y, saved.statistics_async(device).await.unwrap())
    });
    assert_eq!(waited, device.download::<f32>(&y).unwrap());
    assert_eq!(statistics, saved.statistics(device).unwrap());
}

#[test]
fn tensors_of_every_type_come_back_as_they_went() {
    let Some(device) = &device() else { return };
    let halves: Vec<half::f16> = (0..7u8).map(half::f16::from).collect();
    let brains: Vec<half::bf16> = (0..5u8).map(half::bf16::from).collect();
    let tensor = device.upload(&halves, [7]).unwrap();
    assert_eq!(tensor.dtype(), DType::F16);
    assert_eq!(device.download::<half::f16>(&tensor).unwrap(), halves);
    let tensor = device.upload(&brains, [5, 1]).unwrap();
    assert_eq!(device.download::<half::bf16>(&tensor).unwrap(), brains);
    let tensor = device.upload(&[1u32, u32::MAX], [2]).unwrap();
    assert_eq!(device.download::<u32>(&tensor).unwrap(), [1, u32::MAX]);
}
