//! Batch norm in an application's frame loop: its device, its one buffer, its encoder. Each frame, a
//! pass of its own fills x and dy, wgnorm trains on them, another pass moves y against dx, and it all
//! is submitted once. wgpu counts that no frame creates anything; float64 says what has to come out.
//!
//! `cargo run --release --example embedding`

use wgnorm::functional::{self, Backward, Forward, Running};
use wgnorm::wgpu::{self, BufferUsages as Usage};
use wgnorm::{BatchNormOptions, DType, Device, Mode, Recorder, Statistics, Tensor, reference};

const FRAMES: usize = 16;
const SHAPE: [usize; 4] = [8, C, 20, 20];
const C: usize = 6;
const LEN: usize = 8 * C * 20 * 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (gpu, queue) = open()?;
    let arena = gpu.create_buffer(&wgpu::BufferDescriptor {
        label: Some("the application's"),
        size: 1 << 19,
        usage: Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST,
        mapped_at_creation: false,
    });
    // wgnorm's tensors are ranges of that buffer, each where the device lets one start.
    let device = Device::from_wgpu(gpu.clone(), queue.clone())?;
    let mut used = 0;
    let mut cut = |shape: &[usize], dtype: DType| {
        let start = device.limits().aligned(used);
        used = start + dtype.bytes(&shape.into());
        Tensor::from_buffer(&device, arena.clone(), start, shape, dtype)
    };
    let tracked = &cut(&[1], DType::U32)?;
    let mut cut = |shape: &[usize]| cut(shape, DType::F32);
    let [x, dy] = &[cut(&SHAPE)?, cut(&SHAPE)?];
    let [y, dx] = &[cut(&SHAPE)?, cut(&SHAPE)?];
    let [gamma, beta, mean, var] = &[cut(&[C])?, cut(&[C])?, cut(&[C])?, cut(&[C])?];
    let options = BatchNormOptions::default();
    let state = &cut(&[functional::state_len(&device, &SHAPE.into(), &options)?])?;
    for (tensor, value) in [(gamma, 1.5), (beta, 0.25), (mean, 0.0), (var, 1.0)] {
        device.write(tensor, &[value; C])?;
    }
    #[rustfmt::skip]
    let forward = Forward {
        state: Some(state), gamma: Some(gamma), beta: Some(beta),
        running: Some(Running { mean, var, num_batches_tracked: Some(tracked) }),
        ..Forward::new(x, y)
    };
    let backward = Backward {
        gamma: Some(gamma),
        dx: Some(dx),
        ..Backward::new(x, dy, state)
    };
    let train = |recorder: &mut Recorder<'_>| {
        functional::forward(recorder, &forward, &options, Mode::TRAIN)?;
        functional::backward(recorder, &backward, &options, Statistics::Batch)
    };
    // Recorded and dropped: nothing of it runs, but all kernels are compiled now, and bound.
    train(&mut device.recorder())?;

    let [before, after] =
        ["before", "after"].map(|entry| pass(&gpu, &arena, entry, [x, dy, y, dx, tracked]));
    for _ in 0..FRAMES {
        let (objects, encoders) = counts(&gpu);
        assert!(objects[0] > 0, "wgpu was built without its counters");
        let mut encoder = gpu.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        before(&mut encoder);
        train(&mut device.record_into(&mut encoder))?;
        after(&mut encoder);
        let commands = encoder.finish();
        assert_eq!(counts(&gpu).0, objects, "something was created");
        assert!(
            counts(&gpu).1 <= encoders + 1,
            "more encoders than the application's"
        );
        queue.submit([commands]);
    }
    for (want, tensor) in expected().iter().zip([y, dx, mean, var]) {
        for (want, got) in want.iter().zip(device.download::<f32>(tensor)?) {
            assert!((f64::from(got) - want).abs() < 2e-6, "{got} is not {want}");
        }
    }
    println!("{FRAMES} frames created nothing but an encoder, and are right to 2e-6");
    Ok(())
}

fn open() -> Result<(wgpu::Device, wgpu::Queue), Box<dyn std::error::Error>> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default());
    let device = pollster::block_on(adapter)?.request_device(&wgpu::DeviceDescriptor::default());
    Ok(pollster::block_on(device)?)
}

/// A pass of the application's own. Its shader is told where in the buffer the tensors start.
#[rustfmt::skip]
fn pass(
    gpu: &wgpu::Device, arena: &wgpu::Buffer, entry: &str, tensors: [&Tensor; 5],
) -> impl Fn(&mut wgpu::CommandEncoder) + use<> {
    let [x, dy, y, dx, frame] = tensors.map(|tensor| (tensor.offset() / 4) as f64);
    let constants = &[
        ("x", x), ("dy", dy), ("y", y), ("dx", dx), ("frame", frame), ("len", LEN as f64),
    ];
    let pipeline = gpu.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(entry),
        layout: None,
        module: &gpu.create_shader_module(wgpu::include_wgsl!("embedding.wgsl")),
        entry_point: Some(entry),
        compilation_options: wgpu::PipelineCompilationOptions { constants, ..Default::default() },
        cache: None,
    });
    let group = gpu.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(entry),
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[wgpu::BindGroupEntry { binding: 0, resource: arena.as_entire_binding() }],
    });
    move |encoder| {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(LEN as u32 / 64, 1, 1);
    }
}

/// How many there are of what recording could create, and of command encoders.
#[rustfmt::skip]
fn counts(gpu: &wgpu::Device) -> ([isize; 8], isize) {
    let hal = gpu.get_internal_counters().hal;
    let objects = [
        hal.buffers, hal.textures, hal.memory_allocations, hal.bind_groups, hal.bind_group_layouts,
        hal.pipeline_layouts, hal.compute_pipelines, hal.shader_modules,
    ];
    (objects.map(|counter| counter.read()), hal.command_encoders.read())
}

/// What float64 makes of all frames: y and dx of the last one, running mean and variance.
fn expected() -> [Vec<f64>; 4] {
    let noise = |n: usize| f64::from((n as u32).wrapping_mul(1_103_515_245) >> 16) / 65536.0;
    let numbers = |from: usize| -> Vec<f64> { (0..LEN).map(|i| noise(from + 2 * i)).collect() };
    let (shape, gamma, beta) = (&SHAPE.into(), Some(&[1.5; C][..]), Some(&[0.25; C][..]));
    #[rustfmt::skip]
    let norm = reference::BatchNorm { shape, axis: 1, gamma, beta, eps: 1e-5 };
    let (mut mean, mut var) = (vec![0.0; C], vec![1.0; C]);
    for frame in 0..FRAMES {
        let batch = norm.forward(&numbers(2 * frame * LEN));
        reference::update_running(&mut mean, &batch.mean, 0.1);
        reference::update_running(&mut var, &reference::unbiased(&batch.var, LEN / C), 0.1);
    }
    let last = 2 * (FRAMES - 1) * LEN;
    let (x, dy) = (numbers(last), numbers(last + 1));
    let (y, dx) = (norm.forward(&x).y, norm.backward(&x, &dy).dx);
    let moved = y.iter().zip(&dx).map(|(y, dx)| y - 0.25 * dx).collect();
    [moved, dx, mean, var]
}
