//! What a layer normalizes by in inference, brought to the host and folded.

use wgnorm::folding::{Folded, Frozen, Layer};
use wgnorm::{BatchNorm, BatchNormOptions, Device, Error, Shape, reference};

use crate::bounds::l2;
use crate::case::Case;
use crate::device;

const CHANNELS: usize = 12;

/// A layer whose parameters are those of a case, an eps that counts, and means of `ratio` standard
/// deviations.
fn layer(device: &Device, ratio: f32) -> (BatchNorm, Frozen) {
    let inputs = Case::new([2, CHANNELS], 1).inputs();
    let options = BatchNormOptions {
        eps: 1e-2,
        ..BatchNormOptions::default()
    };
    let layer = BatchNorm::new(device, CHANNELS, options).unwrap();
    let var = inputs.running_var;
    let frozen = Frozen {
        gamma: Some(inputs.gamma),
        beta: Some(inputs.beta),
        mean: var.iter().map(|var| ratio * var.sqrt()).collect(),
        var,
        eps: 1e-2,
    };
    let write = |tensor: Option<&wgnorm::Tensor>, values: &[f32]| {
        device.write(tensor.unwrap(), values).unwrap();
    };
    write(layer.gamma(), frozen.gamma.as_ref().unwrap());
    write(layer.beta(), frozen.beta.as_ref().unwrap());
    write(layer.running_mean(), &frozen.mean);
    write(layer.running_var(), &frozen.var);
    (layer, frozen)
}

#[test]
fn a_layer_is_downloaded_as_it_is() {
    let Some(device) = &device() else { return };
    let (layer, frozen) = layer(device, 1.0);
    assert_eq!(Frozen::of(device, &layer), Ok(frozen.clone()));
    let twin = pollster::block_on(Frozen::of_async(device, &layer));
    assert_eq!(twin, Ok(frozen.clone()));
    let bare = layer.without_gamma().without_beta();
    let want = Frozen {
        gamma: None,
        beta: None,
        ..frozen
    };
    assert_eq!(Frozen::of(device, &bare), Ok(want));
    let nothing = Frozen::of(device, &bare.without_running_statistics());
    assert!(matches!(
        nothing,
        Err(Error::Missing {
            name: "running_mean",
            ..
        })
    ));
}

/// The errors of a layer's inference and of its scale and shift, in relative L2.
fn errors(device: &Device, ratio: f32) -> (f64, f64) {
    let (layer, frozen) = layer(device, ratio);
    let shape = Shape::from([16, CHANNELS, 5, 5]);
    let spread = Case::new(&shape, 1).inputs().x;
    let channels: Vec<usize> = reference::channels(&shape, 1).collect();
    let x: Vec<f32> = channels
        .iter()
        .zip(spread)
        .map(|(&c, spread)| frozen.mean[c] + spread)
        .collect();
    let mut recorder = device.recorder();
    let y = layer
        .infer(&mut recorder, &device.upload(&x, &shape).unwrap())
        .unwrap();
    recorder.submit().unwrap();
    let inference: Vec<f32> = device.download(&y).unwrap();
    let affine = Frozen::of(device, &layer).unwrap().scale_shift().unwrap();
    let folded: Vec<f32> = channels
        .iter()
        .zip(&x)
        .map(|(&c, x)| x * affine.scale[c] + affine.shift[c])
        .collect();
    let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
    let norm = reference::BatchNorm {
        shape: &shape,
        axis: 1,
        gamma: Some(&wide(frozen.gamma.as_ref().unwrap())),
        beta: Some(&wide(frozen.beta.as_ref().unwrap())),
        eps: frozen.eps,
    };
    let want = norm.normalize(&wide(&x), &wide(&frozen.mean), &wide(&frozen.var));
    (l2(&inference, &want, &want), l2(&folded, &want, &want))
}

#[test]
fn scale_and_shift_agree_with_inference_while_means_are_small() {
    let Some(device) = &device() else { return };
    let (inference, folded) = errors(device, 0.5);
    assert!(inference <= 3e-7, "inference is off by {inference:e}");
    assert!(folded <= 3e-7, "scale and shift are off by {folded:e}");
}

#[test]
fn the_layer_keeps_its_accuracy_where_scale_and_shift_lose_it() {
    let Some(device) = &device() else { return };
    let (inference, folded) = errors(device, 1e4);
    assert!(inference <= 3e-7, "inference is off by {inference:e}");
    // The documented loss, of which most of it really is there.
    let documented = 1.2e-7 * 1e4;
    assert!(
        (0.1 * documented..=documented).contains(&folded),
        "scale and shift are off by {folded:e}, documented {documented:e}"
    );
}

#[test]
fn a_folded_layer_does_what_the_layer_and_inference_do() {
    let Some(device) = &device() else { return };
    let (norm, frozen) = layer(device, 0.5);
    let (samples, inputs) = (9, 7);
    let draw = |len: usize| Case::new([len, 1], 1).inputs().x;
    let (weight, bias) = (draw(CHANNELS * inputs), draw(CHANNELS));
    let x = draw(samples * inputs);
    // Each product and sum in float64, so that only the norm and the folding are tested.
    let linear = |weight: &[f32], bias: &[f32]| -> Vec<f32> {
        let rows = x.chunks(inputs);
        let dot = |row: &[f32], weights: &[f32]| -> f64 {
            let pairs = row.iter().zip(weights);
            pairs.map(|(x, w)| f64::from(*x) * f64::from(*w)).sum()
        };
        rows.flat_map(|row| {
            let outputs = weight.chunks(inputs).zip(bias);
            outputs.map(|(weights, bias)| (dot(row, weights) + f64::from(*bias)) as f32)
        })
        .collect()
    };
    let between = device
        .upload(&linear(&weight, &bias), [samples, CHANNELS])
        .unwrap();
    let mut recorder = device.recorder();
    let y = norm.infer(&mut recorder, &between).unwrap();
    recorder.submit().unwrap();
    let y: Vec<f32> = device.download(&y).unwrap();
    let Folded { weight, bias } = frozen
        .fold(Layer::Linear, [CHANNELS, inputs], &weight, Some(&bias))
        .unwrap();
    let want: Vec<f64> = y.iter().map(|&y| f64::from(y)).collect();
    let error = l2(&linear(&weight, &bias), &want, &want);
    assert!(error <= 1e-6, "folded and unfolded differ by {error:e}");
}
