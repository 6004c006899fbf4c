//! Batch norm on the GPU, from a case to the tensors that are written.

use wgnorm::{BatchNorm, Device, Error, Gradients, Result, Saved, Tensor};

use crate::case::Case;
use crate::file::Output;

pub(crate) fn run(case: &Case, device: &Device) -> Result<Vec<Output>> {
    let layer = layer(case, device)?;
    let upload = |values: &crate::file::Values| device.upload(&values.data, values.shape.clone());
    let x = upload(&case.x)?;
    let dy = case.dy.as_ref().map(upload).transpose()?;
    let mut recorder = device.recorder();
    let (y, saved) = layer.forward(&mut recorder, &x, case.mode)?;
    let gradients = match &dy {
        Some(dy) => Some(layer.backward(&mut recorder, &x, dy, &saved)?),
        None => None,
    };
    recorder.submit()?;

    let mut outputs = vec![output(device, "y", &case.x.shape, &y)?];
    if case.train {
        outputs.extend(statistics(case, device, &layer, &saved)?);
    }
    if let Some(gradients) = &gradients {
        outputs.extend(gradient_outputs(case, device, gradients)?);
    }
    Ok(outputs)
}

fn layer(case: &Case, device: &Device) -> Result<BatchNorm> {
    // An empty x can claim any number of channels, which then take memory on host and device.
    let needed = 16u64.saturating_mul(case.channels as u64);
    let limit = device.limits().max_binding_bytes;
    if needed > limit {
        return Err(Error::TooLarge {
            name: "bytes of the statistics of all channels",
            needed,
            limit,
        });
    }
    let mut layer = BatchNorm::new(device, case.channels, case.options)?;
    if case.weight.is_none() {
        layer = layer.without_gamma();
    }
    if case.bias.is_none() {
        layer = layer.without_beta();
    }
    if case.running.is_none() {
        layer = layer.without_running_statistics();
    }
    let running = case.running.as_ref();
    for (tensor, values) in [
        (layer.gamma(), case.weight.as_ref()),
        (layer.beta(), case.bias.as_ref()),
        (layer.running_mean(), running.map(|running| &running.mean)),
        (layer.running_var(), running.map(|running| &running.var)),
    ] {
        if let (Some(tensor), Some(values)) = (tensor, values) {
            device.write(tensor, &values.data)?;
        }
    }
    if let Some(tracked) = layer.num_batches_tracked() {
        device.write(tracked, &[case.num_batches_tracked])?;
    }
    Ok(layer)
}

/// What a training step leaves beside y.
fn statistics(
    case: &Case,
    device: &Device,
    layer: &BatchNorm,
    saved: &Saved,
) -> Result<Vec<Output>> {
    let used = saved.statistics(device)?;
    let tracked = match layer.num_batches_tracked() {
        Some(tracked) => device.download::<u32>(tracked)?[0],
        // Without running statistics the layer has no counter either.
        None => case.num_batches_tracked + u32::from(!case.x.data.is_empty()),
    };
    let mut outputs = vec![
        Output::f32("mean", &[case.channels], &used.mean),
        Output::f32("rstd", &[case.channels], &used.rstd),
        Output::i64("num_batches_tracked", tracked.into()),
    ];
    if let Some(running) = &case.running {
        for (name, tensor, shape) in [
            ("running_mean", layer.running_mean(), &running.mean.shape),
            ("running_var", layer.running_var(), &running.var.shape),
        ] {
            if let Some(tensor) = tensor {
                outputs.push(output(device, name, shape, tensor)?);
            }
        }
    }
    Ok(outputs)
}

fn gradient_outputs(case: &Case, device: &Device, gradients: &Gradients) -> Result<Vec<Output>> {
    let mut outputs = vec![output(device, "dx", &case.x.shape, &gradients.dx)?];
    for (name, tensor, parameter) in [
        ("dweight", &gradients.dgamma, &case.weight),
        ("dbias", &gradients.dbeta, &case.bias),
    ] {
        if let (Some(tensor), Some(parameter)) = (tensor, parameter) {
            outputs.push(output(device, name, &parameter.shape, tensor)?);
        }
    }
    Ok(outputs)
}

fn output(device: &Device, name: &'static str, shape: &[usize], tensor: &Tensor) -> Result<Output> {
    Ok(Output::f32(name, shape, &device.download(tensor)?))
}
