//! How long a step of a spectral norm takes by the time of a copy of its weight: run it alone, with
//! `cargo test --release --test gpu spectral_speed -- --ignored --nocapture`.

use std::time::Instant;

use wgnorm::{Device, SpectralNorm, SpectralNormOptions, Tensor, wgpu};

use crate::device;

/// The copy kernel of the benchmark.
const COPY: &str = concat!(
    "alias T = vec4<f32>;\n",
    include_str!("../../benches/norms/copy.wgsl")
);
const ROUNDS: usize = 31;

struct Copy {
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    groups: u32,
}

impl Copy {
    fn new(device: &Device, x: &Tensor, y: &Tensor) -> Self {
        let gpu = device.wgpu_device();
        let module = gpu.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("copy"),
            source: wgpu::ShaderSource::Wgsl(COPY.into()),
        });
        let pipeline = gpu.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("copy"),
            layout: None,
            module: &module,
            entry_point: Some("copy_one"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        let entry = |binding, tensor: &Tensor| wgpu::BindGroupEntry {
            binding,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: Box::leak(Box::new(tensor.buffer().clone())),
                offset: tensor.offset(),
                size: wgpu::BufferSize::new(tensor.bytes()),
            }),
        };
        let bindings = gpu.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("copy"),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &[entry(0, x), entry(1, y)],
        });
        let groups = x.bytes().div_ceil(16 * 256) as u32;
        assert!(groups < 65_536, "the copy is not folded");
        Self {
            pipeline,
            bindings,
            groups,
        }
    }

    fn record(&self, encoder: &mut wgpu::CommandEncoder) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bindings, &[]);
        pass.dispatch_workgroups(self.groups, 1, 1);
    }
}

/// Milliseconds from submitting to having waited.
fn time(device: &Device, record: impl FnOnce(&mut wgpu::CommandEncoder)) -> f64 {
    let mut encoder = device
        .wgpu_device()
        .create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    record(&mut encoder);
    let commands = encoder.finish();
    let begun = Instant::now();
    device.wgpu_queue().submit([commands]);
    device
        .wgpu_device()
        .poll(wgpu::PollType::wait_indefinitely())
        .unwrap();
    begun.elapsed().as_secs_f64() * 1e3
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn measure(device: &Device, dims: &[usize], dim: usize) {
    let numel: usize = dims.iter().product();
    let values: Vec<f32> = (0..numel).map(|i| (i % 97) as f32 * 0.01 - 0.4).collect();
    let weight = device.upload(&values, dims).unwrap();
    let target = device.upload(&values, dims).unwrap();
    let options = SpectralNormOptions {
        dim,
        ..SpectralNormOptions::default()
    };
    let mut first = device.recorder();
    let layer = SpectralNorm::new(&mut first, &weight, options).unwrap();
    let (_, saved) = layer.forward_train(&mut first, &weight).unwrap();
    first.submit().unwrap();
    let copy = Copy::new(device, &weight, &target);
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        times[0].push(time(device, |encoder| copy.record(encoder)));
        times[1].push(time(device, |encoder| {
            let mut step = device.record_into(encoder);
            layer.forward_train(&mut step, &weight).unwrap();
        }));
        times[2].push(time(device, |encoder| {
            let mut step = device.record_into(encoder);
            layer.infer(&mut step, &weight).unwrap();
        }));
        times[3].push(time(device, |encoder| {
            let mut step = device.record_into(encoder);
            layer.backward(&mut step, &weight, &target, &saved).unwrap();
        }));
    }
    let [copy, train, infer, backward] = times.map(median);
    println!(
        "{dims:?}, dim {dim}: copy {copy:.2} ms, training step {:.2}, evaluation {:.2}, backward {:.2}",
        train / copy,
        infer / copy,
        backward / copy
    );
}

#[test]
#[ignore = "measures, and proves nothing where others run beside it"]
fn spectral_speed() {
    let Some(device) = &device() else { return };
    measure(device, &[512, 512, 3, 3], 0);
    measure(device, &[512, 512, 3, 3], 1);
    measure(device, &[512, 512, 4, 4], 1);
    measure(device, &[4096, 1024], 0);
    measure(device, &[4096, 1024], 1);
    measure(device, &[64, 27], 0);
}
