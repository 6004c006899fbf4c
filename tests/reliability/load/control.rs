//! A step of plain wgpu, without a line of the crate: what it makes of memory is not ours.

use wgnorm::{Device, wgpu};

const ELEMENTS: u64 = 16 * 8 * 14 * 14;
const KERNEL: &str = "
@group(0) @binding(0) var<storage, read_write> data: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
    data[id.x] = data[id.x] * 0.5 + 1.0;
}";

/// What a step needs.
pub(super) struct Control {
    device: Device,
    buffers: [wgpu::Buffer; 2],
    groups: [wgpu::BindGroup; 2],
    pipeline: wgpu::ComputePipeline,
    values: Vec<u8>,
}

impl Control {
    pub(super) fn new(device: &Device) -> Self {
        let gpu = device.wgpu_device();
        let module = gpu.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: None,
            source: wgpu::ShaderSource::Wgsl(KERNEL.into()),
        });
        let pipeline = gpu.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: None,
            module: &module,
            entry_point: None,
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        let buffers = [(); 2].map(|()| {
            gpu.create_buffer(&wgpu::BufferDescriptor {
                label: None,
                size: 4 * ELEMENTS,
                usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        });
        let groups = [&buffers[0], &buffers[1]].map(|buffer| {
            gpu.create_bind_group(&wgpu::BindGroupDescriptor {
                label: None,
                layout: &pipeline.get_bind_group_layout(0),
                entries: &[wgpu::BindGroupEntry {
                    binding: 0,
                    resource: buffer.as_entire_binding(),
                }],
            })
        });
        Self {
            device: device.clone(),
            buffers,
            groups,
            pipeline,
            values: vec![0; 4 * ELEMENTS as usize],
        }
    }

    /// Writes, dispatches and submits as much as a step of training does.
    pub(super) fn step(&self) {
        let queue = self.device.wgpu_queue();
        for buffer in &self.buffers {
            queue.write_buffer(buffer, 0, &self.values);
        }
        let descriptor = wgpu::CommandEncoderDescriptor::default();
        let gpu = self.device.wgpu_device();
        let mut encoder = gpu.create_command_encoder(&descriptor);
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&self.pipeline);
        for group in self.groups.iter().chain(&self.groups) {
            pass.set_bind_group(0, group, &[]);
            pass.dispatch_workgroups(ELEMENTS as u32 / 64, 1, 1);
        }
        drop(pass);
        queue.submit([encoder.finish()]);
    }
}
