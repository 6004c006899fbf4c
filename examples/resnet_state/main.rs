//! Every batch norm of a ResNet-18 from one state file with PyTorch's names, and one training step of all
//! of them, forward and backward, in one submission.
//!
//! `cargo run --release --example resnet_state [CHECKPOINT.safetensors]`
//!
//! Without a file of yours, such as torchvision's `resnet18` saved by safetensors, it makes one.

mod network;

use std::error::Error;

use wgnorm::Device;
use wgnorm::state::{self, Convention, NormState, StateFile};

use network::Layer;

/// How far the running mean lies from `0.9 * old + 0.1 * mean of x`, computed in f64.
fn off(layer: &Layer, old: &[f32], new: &[f32]) -> f64 {
    let [n, channels, height, width] = layer.shape;
    let mut sums = vec![0.0; channels];
    for (i, plane) in layer.x.chunks(height * width).enumerate() {
        sums[i % channels] += plane.iter().map(|&v| f64::from(v)).sum::<f64>();
    }
    let each = sums.iter().zip(old).zip(new).map(|((sum, &old), &new)| {
        let expected = 0.9 * f64::from(old) + 0.1 * sum / (n * height * width) as f64;
        (f64::from(new) - expected).abs() / expected.abs().max(1.0)
    });
    each.fold(0.0, f64::max)
}

/// Prints what the step did to a norm, and checks it.
fn report(layer: &Layer, after: &NormState, dgamma: &[f32]) -> Result<(), Box<dyn Error>> {
    let Layer {
        prefix,
        shape,
        before,
        ..
    } = layer;
    let (Some(old), Some(new)) = (&before.running, &after.running) else {
        return Err(format!("{prefix} has no running statistics").into());
    };
    let off = off(layer, &old.mean, &new.mean);
    let length = dgamma.iter().map(|v| v * v).sum::<f32>().sqrt();
    println!(
        "{prefix:24}{:>20}{length:12.3}{off:16.1e}",
        format!("{shape:?}")
    );
    assert!(off < 1e-6 && length.is_normal(), "{prefix} trained wrongly");
    assert_eq!(
        new.num_batches_tracked,
        old.num_batches_tracked.map(|n| n + 1)
    );
    assert_eq!((&after.gamma, &after.beta), (&before.gamma, &before.beta));
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let bytes = match std::env::args_os().nth(1) {
        Some(path) => std::fs::read(path)?,
        None => network::checkpoint()?,
    };
    let device = Device::new()?;
    let layers = network::layers(&device, &StateFile::parse(&bytes)?)?;

    // All of the network is recorded and submitted once; nothing waits before the downloads below.
    let mut step = device.recorder();
    let mut gradients = Vec::new();
    for Layer {
        norm, shape, x, dy, ..
    } in &layers
    {
        let (x, dy) = (device.upload(x, shape)?, device.upload(dy, shape)?);
        let (_y, saved) = norm.forward_train(&mut step, &x)?;
        gradients.push(norm.backward(&mut step, &x, &dy, &saved)?);
    }
    step.submit()?;

    println!(
        "{:24}{:>20}{:>12}{:>16}",
        "norm", "input", "|dgamma|", "mean is off by"
    );
    let mut states = Vec::new();
    for (layer, gradients) in layers.iter().zip(&gradients) {
        let state = layer.norm.state(&device)?;
        let dgamma = gradients.dgamma.as_ref().ok_or("no dgamma")?;
        report(layer, &state, &device.download(dgamma)?)?;
        states.push((layer.prefix.as_str(), state));
    }

    let written = state::write(Convention::PyTorch, states.clone())?;
    let file = StateFile::parse(&written)?;
    for (prefix, state) in &states {
        assert_eq!(&file.at(prefix, Convention::PyTorch).read()?, state);
    }
    let (norms, bytes) = (states.len(), written.len());
    println!(
        "{norms} norms in one submission; their new state, {bytes} bytes, reads back as written"
    );
    Ok(())
}
