//! One training step of a batch norm layer, then inference. Copy it and replace the data.
//!
//! `cargo run --release --example quickstart`

use wgnorm::{BatchNorm, BatchNormOptions, Device, Result};

fn main() -> Result<()> {
    // 8 images of 3 channels and 16x16 pixels, and the gradient that a loss would send back.
    let shape = [8, 3, 16, 16];
    let host_x: Vec<f32> = (0..6144).map(|i| 5.0 + (i as f32).sin()).collect();
    let host_dy: Vec<f32> = (0..6144).map(|i| (i as f32 * 0.3).cos()).collect();

    let device = Device::new()?;
    let layer = BatchNorm::new(&device, 3, BatchNormOptions::default())?;
    let x = device.upload(&host_x, shape)?;
    let dy = device.upload(&host_dy, shape)?;

    // Recorded commands run once they are submitted; only a download waits for them.
    let mut step = device.recorder();
    let (y, saved) = layer.forward_train(&mut step, &x)?;
    let gradients = layer.backward(&mut step, &x, &dy, &saved)?;
    let inferred = layer.infer(&mut step, &x)?;
    step.submit()?;

    let x = mean_and_std("x", &host_x);
    let y = mean_and_std("y, training", &device.download(&y)?);
    let dx = mean_and_std("dx", &device.download(&gradients.dx)?);
    // One step moves the running mean a tenth of the way from 0 to that of the batch, and the
    // running variance as far from 1, so inference does not center x yet.
    let inferred = mean_and_std("y, inference", &device.download(&inferred)?);
    assert!((x.0 - 5.0).abs() < 0.01 && (x.1 - 0.707).abs() < 0.01);
    assert!(y.0.abs() < 1e-5 && (y.1 - 1.0).abs() < 1e-4);
    assert!(dx.0.abs() < 1e-5 && dx.1 > 0.5);
    assert!((inferred.0 - 0.9 * 5.0 / 0.95_f32.sqrt()).abs() < 0.01);
    Ok(())
}

fn mean_and_std(name: &str, values: &[f32]) -> (f32, f32) {
    let n = values.len() as f32;
    let mean = values.iter().sum::<f32>() / n;
    let squares: f32 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    println!(
        "{name:12}  mean {mean:7.4}  std {:.4}",
        (squares / n).sqrt()
    );
    (mean, (squares / n).sqrt())
}
