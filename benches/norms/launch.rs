//! What an operation costs apart from its work: recording, launching, and the first one ever.

use std::time::Instant;

use wgnorm::{DType, wgpu};

use crate::Outcome;
use crate::case::{Case, Layout, Op};
use crate::device::Gpu;
use crate::measure::{Lane, Samples, median, take_turns};
use crate::operands::{Inputs, Operands};
use crate::report::{ColdStart, Launch, LaunchRow};
use crate::suite::Dims;

/// How many operations are chained.
const CHAIN: u32 = 100;
/// How many recordings a median is taken of.
const RECORDINGS: usize = 64;

/// The CPU time to record an operation into a pass that is open, once warm.
pub(crate) fn record_ns(gpu: &Gpu, operands: &Operands, op: Op) -> wgnorm::Result<f64> {
    let descriptor = wgpu::CommandEncoderDescriptor::default();
    let mut encoder = gpu.device.wgpu_device().create_command_encoder(&descriptor);
    let mut recorder = gpu.device.record_into(&mut encoder);
    operands.record(&mut recorder, op)?;
    let mut taken = Vec::with_capacity(RECORDINGS);
    for _ in 0..RECORDINGS {
        let begun = Instant::now();
        operands.record(&mut recorder, op)?;
        taken.push(begun.elapsed().as_nanos() as f64);
    }
    // Nobody submits the encoder, so none of it runs.
    Ok(median(taken))
}

/// The first training step of the process and, for comparison, the second.
pub(crate) fn cold_start(gpu: &Gpu) -> Outcome<ColdStart> {
    let case = case(&[8, 64, 28, 28]);
    let operands = Operands::upload(&gpu.device, &case, &Inputs::random(&case, 0))?;
    let step = || -> Outcome<u64> {
        let begun = Instant::now();
        gpu.clock.time(|encoder| {
            let mut recorder = gpu.device.record_into(encoder);
            operands.record(&mut recorder, Op::Forward)?;
            operands.record(&mut recorder, Op::Backward)
        })?;
        Ok(begun.elapsed().as_nanos() as u64)
    };
    Ok(ColdStart {
        device_ns: gpu.opened_ns,
        first_step_ns: step()?,
        second_step_ns: step()?,
    })
}

/// Chained operations against dispatches that do nothing, both on 32x64.
pub(crate) fn measure(gpu: &Gpu, samples: Samples) -> Outcome<Launch> {
    let case = case(&[32, 64]);
    let operands = Operands::upload(&gpu.device, &case, &Inputs::random(&case, 0))?;
    let empty = Empty::new(gpu.device.wgpu_device(), &operands);
    let mut lanes = vec![Lane::new(|encoder, times| {
        empty.record(encoder, times * CHAIN);
        Ok(())
    })];
    for op in Op::ALL {
        let operands = &operands;
        lanes.push(Lane::new(move |encoder, times| {
            let mut recorder = gpu.device.record_into(encoder);
            (0..times * CHAIN).try_for_each(|_| operands.record(&mut recorder, op))
        }));
    }
    take_turns(&gpu.clock, &mut lanes, samples)?;
    let empty_ns = lanes[0].median();
    let mut ops = Vec::new();
    for (op, lane) in Op::ALL.into_iter().zip(&lanes[1..]) {
        ops.push(LaunchRow {
            op: op.name(),
            record_ns: record_ns(gpu, &operands, op)? as u64,
            chained_ns: lane.median() as u64,
            ratio: lane.median() / empty_ns,
        });
    }
    Ok(Launch {
        shape: case.dims.0,
        chain: CHAIN,
        empty_ns: empty_ns as u64,
        ops,
    })
}

fn case(dims: &[usize]) -> Case {
    Case {
        norm: crate::norm::Norm::Batch,
        tail: crate::tail::Tail::None,
        way: crate::way::Way::Whole,
        suite: "launch",
        dims: Dims(dims.to_vec()),
        layout: Layout::ChannelsFirst,
        strategy: None,
        dtype: DType::F32,
        ops: Op::ALL.to_vec(),
    }
}

/// A dispatch of one group that does nothing; each waits for the one before, since all of them bind
/// one buffer to be written.
struct Empty {
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
}

impl Empty {
    fn new(device: &wgpu::Device, operands: &Operands) -> Self {
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("empty"),
            source: wgpu::ShaderSource::Wgsl(
                "@group(0) @binding(0) var<storage, read_write> y: array<f32>;
                 @compute @workgroup_size(1) fn empty() { _ = &y; }"
                    .into(),
            ),
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("empty"),
            layout: None,
            module: &module,
            entry_point: Some("empty"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        let bindings = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("empty"),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &[wgpu::BindGroupEntry {
                binding: 0,
                resource: operands.y.buffer().as_entire_binding(),
            }],
        });
        Self { pipeline, bindings }
    }

    fn record(&self, encoder: &mut wgpu::CommandEncoder, times: u32) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bindings, &[]);
        for _ in 0..times {
            pass.dispatch_workgroups(1, 1, 1);
        }
    }
}
