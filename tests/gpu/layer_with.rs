//! Layers with what their forward takes beside x, against the same layers without it.

use wgnorm::{
    Activation, BatchNorm, BatchNormOptions, Error, GroupNorm, GroupNormOptions, LayerNorm,
    LayerNormOptions, Mode, Tensor, Wanted, With,
};

use crate::device;
use crate::family_case::{Case, Norm};

const SHAPE: [usize; 4] = [3, 4, 7, 7];

fn relu() -> BatchNormOptions {
    BatchNormOptions {
        activation: Activation::Relu,
        ..BatchNormOptions::default()
    }
}

fn close(got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(want) {
        assert!(
            (got - want).abs() <= 2e-6 * want.abs().max(1.0),
            "{got} {want}"
        );
    }
}

#[test]
fn a_residual_block_and_its_backward() {
    let Some(device) = &device() else { return };
    let inputs = Case::new(Norm::Batch(relu()), SHAPE).inputs();
    let upload = |values: &[f32]| device.upload(values, SHAPE).unwrap();
    let (x, dy, residual) = (
        upload(&inputs.x),
        upload(&inputs.dy),
        upload(&inputs.residual),
    );
    let plain = BatchNorm::new(device, 4, BatchNormOptions::default()).unwrap();
    let fused = BatchNorm::new(device, 4, relu()).unwrap();
    let with = With {
        residual: Some(&residual),
        ..With::default()
    };
    let download = |tensor: &Tensor| -> Vec<f32> { device.download(tensor).unwrap() };
    for mode in [Mode::TRAIN, Mode::EVAL] {
        let mut step = device.recorder();
        let (normed, plain_saved) = plain.forward(&mut step, &x, mode).unwrap();
        let (y, saved) = fused.forward_with(&mut step, &x, with, mode).unwrap();
        let gradients = fused.backward(&mut step, &x, &dy, &saved).unwrap();
        let dresidual = gradients.dresidual.unwrap();
        let expected = plain
            .backward(&mut step, &x, &dresidual, &plain_saved)
            .unwrap();
        step.submit().unwrap();
        let sum = download(&normed).into_iter().zip(&inputs.residual);
        let relu: Vec<f32> = sum.map(|(v, r)| (v + r).max(0.0)).collect();
        let got = download(&y);
        close(&got, &relu);
        let passed = got.iter().zip(&inputs.dy);
        let passed: Vec<f32> = passed
            .map(|(&y, &dy)| if y > 0.0 { dy } else { 0.0 })
            .collect();
        assert_eq!(download(&dresidual), passed);
        close(&download(&gradients.dx), &download(&expected.dx));
        let pair = |a: Option<Tensor>| download(&a.unwrap());
        close(&pair(gradients.dgamma), &pair(expected.dgamma));
        close(&pair(gradients.dbeta), &pair(expected.dbeta));
    }
    let mut step = device.recorder();
    let (y, _) = fused.forward_with(&mut step, &x, with, Mode::EVAL).unwrap();
    let inferred = fused.infer_with(&mut step, &x, with).unwrap();
    step.submit().unwrap();
    close(&download(&inferred), &download(&y));
}

#[test]
fn gradients_that_were_not_wanted() {
    let Some(device) = &device() else { return };
    let options = LayerNormOptions {
        activation: Activation::Relu,
        ..LayerNormOptions::default()
    };
    let layer = LayerNorm::new(device, [7], options).unwrap();
    let batch = BatchNorm::new(device, 4, relu()).unwrap();
    let inputs = Case::new(Norm::Batch(relu()), SHAPE).inputs();
    let upload = |values: &[f32]| device.upload(values, SHAPE).unwrap();
    let (x, dy, residual) = (
        upload(&inputs.x),
        upload(&inputs.dy),
        upload(&inputs.residual),
    );
    let with = With {
        residual: Some(&residual),
        ..With::default()
    };
    let wanted = Wanted {
        dx: false,
        dgamma: true,
        dbeta: true,
        dresidual: false,
    };
    let mut step = device.recorder();
    let (_, saved) = layer
        .forward_with(&mut step, &x, with, Mode::RECOMPUTE)
        .unwrap();
    let all = layer.backward(&mut step, &x, &dy, &saved).unwrap();
    let some = layer
        .backward_wanted(&mut step, &x, &dy, &saved, wanted)
        .unwrap();
    let (_, batch_saved) = batch
        .forward_with(&mut step, &x, with, Mode::TRAIN)
        .unwrap();
    let batch_all = batch.backward(&mut step, &x, &dy, &batch_saved).unwrap();
    let batch_some = batch
        .backward_wanted(&mut step, &x, &dy, &batch_saved, wanted)
        .unwrap();
    step.submit().unwrap();
    let download =
        |tensor: Option<Tensor>| -> Vec<f32> { device.download(&tensor.unwrap()).unwrap() };
    assert!(some.dx.is_none() && some.dresidual.is_none());
    assert!(batch_some.dx.is_none() && batch_some.dresidual.is_none());
    close(&download(some.dgamma), &download(all.dgamma));
    close(&download(some.dbeta), &download(all.dbeta));
    close(&download(batch_some.dgamma), &download(batch_all.dgamma));
    close(&download(batch_some.dbeta), &download(batch_all.dbeta));
}

#[test]
fn a_mask_clears_what_it_calls_invalid() {
    let Some(device) = &device() else { return };
    let case = Case {
        mask: Some(0.5),
        ..Case::new(Norm::Batch(relu()), SHAPE)
    };
    let inputs = case.inputs();
    let upload = |values: &[f32]| device.upload(values, SHAPE).unwrap();
    let (x, dy) = (upload(&inputs.x), upload(&inputs.dy));
    let mask = device.upload(&inputs.mask, [3, 7, 7]).unwrap();
    let with = With {
        mask: Some(&mask),
        ..With::default()
    };
    let norm = BatchNorm::new(device, 4, relu()).unwrap();
    let mut step = device.recorder();
    let (y, saved) = norm.forward_with(&mut step, &x, with, Mode::TRAIN).unwrap();
    let gradients = norm.backward(&mut step, &x, &dy, &saved).unwrap();
    let inferred = norm.infer_with(&mut step, &x, with).unwrap();
    step.submit().unwrap();
    let positions = case.positions(1);
    for tensor in [&y, &gradients.dx, &inferred] {
        let values: Vec<f32> = device.download(tensor).unwrap();
        assert!(values.iter().all(|value| value.is_finite()));
        assert!(values.iter().any(|&value| value != 0.0));
        let invalid = values
            .iter()
            .zip(&positions)
            .filter(|(_, position)| inputs.mask[**position] == 0);
        assert!(invalid.map(|(value, _)| value).all(|&value| value == 0.0));
    }
    let tracked = device.download::<u32>(norm.num_batches_tracked().unwrap());
    assert_eq!(tracked.unwrap(), [1]);
}

#[test]
fn masks_that_do_not_fit_are_refused() {
    let Some(device) = &device() else { return };
    let x = device.upload(&[0.5f32; 588], SHAPE).unwrap();
    let refused = |norm: &BatchNorm, mask: &Tensor| {
        let with = With {
            mask: Some(mask),
            ..With::default()
        };
        let mut step = device.recorder();
        norm.forward_with(&mut step, &x, with, Mode::TRAIN)
            .unwrap_err()
    };
    let norm = BatchNorm::new(device, 4, relu()).unwrap();
    let whole = device.upload(&[1u32; 588], SHAPE).unwrap();
    let error = refused(&norm, &whole).to_string();
    assert!(
        error.contains("[3, 7, 7]") && error.contains("[3, 4, 7, 7]"),
        "{error}"
    );
    let floats = device.upload(&[1.0f32; 147], [3, 7, 7]).unwrap();
    assert!(matches!(refused(&norm, &floats), Error::DType { .. }));
    let group = GroupNorm::new(
        device,
        4,
        GroupNormOptions {
            groups: 2,
            ..GroupNormOptions::default()
        },
    )
    .unwrap();
    let mask = device.upload(&[1u32; 147], [3, 7, 7]).unwrap();
    let with = With {
        mask: Some(&mask),
        ..With::default()
    };
    let error = group
        .forward_with(&mut device.recorder(), &x, with, Mode::RECOMPUTE)
        .unwrap_err();
    assert!(
        matches!(error, Error::Option { name: "mask", .. }),
        "{error}"
    );
}
