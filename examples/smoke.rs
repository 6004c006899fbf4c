use wgnorm::*;
fn main() -> Result<()> {
    env_logger::init();
    let device = Device::new()?;
    for (shape, axis) in [
        (vec![4usize, 3, 5, 5], 1usize),
        (vec![8, 2, 4, 4], 1),
        (vec![6, 7, 3], 2),
        (vec![32, 64], 1),
        (vec![9, 50], 1),
    ] {
        let shape = Shape::from(shape);
        let n = shape.numel();
        let hx: Vec<f32> = (0..n)
            .map(|i| ((i * 7919) % 1013) as f32 * 0.01 + 3.0)
            .collect();
        let hdy: Vec<f32> = (0..n)
            .map(|i| ((i * 104729) % 997) as f32 * 0.002 - 1.0)
            .collect();
        let c = shape.dims()[axis];
        for class in [DeviceClass::Gpu, DeviceClass::Cpu] {
            let opt = BatchNormOptions {
                channel_axis: axis,
                plan: PlanOptions {
                    class: Some(class),
                    strategy: None,
                },
                ..Default::default()
            };
            let bn = BatchNorm::new(&device, c, opt)?;
            let x = device.upload(&hx, &shape)?;
            let dy = device.upload(&hdy, &shape)?;
            let mut step = device.recorder();
            let (y, saved) = bn.forward_train(&mut step, &x)?;
            let g = bn.backward(&mut step, &x, &dy, &saved)?;
            step.submit()?;
            let y: Vec<f32> = device.download(&y)?;
            let dx: Vec<f32> = device.download(&g.dx)?;
            let x64: Vec<f64> = hx.iter().map(|&v| v as f64).collect();
            let dy64: Vec<f64> = hdy.iter().map(|&v| v as f64).collect();
            let r = reference::BatchNorm {
                shape: &shape,
                axis,
                gamma: None,
                beta: None,
                eps: 1e-5,
            };
            let f = r.forward(&x64);
            let b = r.backward(&x64, &dy64);
            let l2 = |a: &[f32], b: &[f64]| {
                (a.iter()
                    .zip(b)
                    .map(|(a, b)| (*a as f64 - b).powi(2))
                    .sum::<f64>()
                    / b.iter().map(|b| b * b).sum::<f64>())
                .sqrt()
            };
            println!(
                "{shape} {class:?} y {:.1e} dx {:.1e} dgamma {:.1e} dbeta {:.1e}",
                l2(&y, &f.y),
                l2(&dx, &b.dx),
                l2(
                    &device.download::<f32>(g.dgamma.as_ref().unwrap())?,
                    &b.dgamma
                ),
                l2(
                    &device.download::<f32>(g.dbeta.as_ref().unwrap())?,
                    &b.dbeta
                )
            );
        }
    }
    Ok(())
}
