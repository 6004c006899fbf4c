//! Batch norm inside an application that has its own wgpu device, buffer and command encoder:
//! wgnorm puts its dispatches between the application's commands and submits nothing.
//!
//! `cargo run --release --example own_device`

use wgnorm::functional::{self, Backward, Forward};
use wgnorm::wgpu::{self, BufferUsages as Usage};
use wgnorm::{BatchNormOptions, DType, Device, Mode, Shape, Statistics, Tensor, reference};

/// Elements and bytes of each of x, dy, y and dx.
const LEN: usize = 512;
const BYTES: u64 = 4 * LEN as u64;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The application's side: a device with wgpu's default limits, and buffers of its own.
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter =
        pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()))?;
    let (gpu, queue) =
        pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default()))?;
    let buffer = |size, usage| {
        gpu.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage,
            mapped_at_creation: false,
        })
    };
    let copy = Usage::COPY_SRC | Usage::COPY_DST;
    let inbox = buffer(2 * BYTES, copy);
    let arena = buffer(4 * BYTES, copy | Usage::STORAGE);
    let outbox = buffer(2 * BYTES, Usage::MAP_READ | Usage::COPY_DST);
    let input: Vec<f32> = (0..2 * LEN).map(|i| 3.0 + (i as f32).sin()).collect();
    queue.write_buffer(&inbox, 0, bytemuck::cast_slice(&input));

    // wgnorm's side: the same device, and tensors that are ranges of the application's buffer.
    let device = Device::from_wgpu(gpu.clone(), queue.clone())?;
    let (shape, options) = (Shape::from([4, 8, 4, 4]), BatchNormOptions::default());
    let at = |i| Tensor::from_buffer(&device, arena.clone(), i * BYTES, &shape, DType::F32);
    let (x, dy, y, dx) = (&at(0)?, &at(1)?, &at(2)?, &at(3)?);
    let len = functional::state_len(&device, &shape, &options)?;
    let state = &device.empty([len], DType::F32)?;

    // One encoder: the application's copy, wgnorm's forward and backward, another copy.
    let mut encoder = gpu.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    encoder.copy_buffer_to_buffer(&inbox, 0, &arena, 0, 2 * BYTES);
    let mut recorder = device.record_into(&mut encoder);
    let forward = Forward {
        state: Some(state),
        ..Forward::new(x, y)
    };
    functional::forward(&mut recorder, &forward, &options, Mode::RECOMPUTE)?;
    let backward = Backward {
        dx: Some(dx),
        ..Backward::new(x, dy, state)
    };
    functional::backward(&mut recorder, &backward, &options, Statistics::Batch)?;
    drop(recorder);
    encoder.copy_buffer_to_buffer(&arena, 2 * BYTES, &outbox, 0, 2 * BYTES);
    queue.submit([encoder.finish()]);
    outbox.map_async(wgpu::MapMode::Read, .., |result| result.expect("mapping"));
    gpu.poll(wgpu::PollType::wait_indefinitely())?;
    let output: Vec<f32> = bytemuck::pod_collect_to_vec(&outbox.get_mapped_range(..)?);

    // The reference computes the same in float64.
    let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
    let (x, dy) = (wide(&input[..LEN]), wide(&input[LEN..]));
    #[rustfmt::skip]
    let layer = reference::BatchNorm { shape: &shape, axis: 1, gamma: None, beta: None, eps: 1e-5 };
    let expected = [layer.forward(&x).y, layer.backward(&x, &dy).dx].concat();
    let errors = expected.iter().zip(wide(&output));
    let errors = errors.map(|(expected, got)| (got - expected).abs());
    // By this order NaN is the largest number.
    let worst = errors.max_by(f64::total_cmp).expect("1024 numbers");
    println!("y and dx are at most {worst:.1e} away from float64");
    assert!(worst < 2e-6);
    Ok(())
}
