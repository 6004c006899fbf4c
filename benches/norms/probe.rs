//! The floor of an operation on this machine: kernels that load and store what its strategy must
//! and do nothing else, but for the conversion of 16-bit types.

use std::cell::OnceCell;

use wgnorm::{DType, Tensor, wgpu};

use crate::Outcome;
use crate::case::{Case, Op};
use crate::device::Gpu;
use crate::operands::Operands;
use crate::order::{Order, Walk};
use crate::stored;

/// By [`Kernel`], for pieces of whole words and ragged ones.
type Pipelines = [[wgpu::ComputePipeline; 2]; ENTRIES.len()];

/// The probes of one device.
pub(crate) struct Prober {
    device: wgpu::Device,
    queue: wgpu::Queue,
    layout: wgpu::BindGroupLayout,
    /// By the place in [`TYPES`], compiled when a type is first asked for.
    pipelines: [OnceCell<Pipelines>; TYPES.len()],
    /// Whether words are made of 64-bit integers.
    has_u64: bool,
    /// Where the folded loads go.
    sink: wgpu::Buffer,
    lanes: u32,
    is_cpu: bool,
    /// Groups that keep the device busy.
    groups: u32,
}

#[derive(Clone, Copy)]
enum Kernel {
    LoadOne,
    LoadTwo,
    MoveOne,
    MoveTwo,
    /// Two loads, and what comes of them stored in two places.
    MoveTwoTwice,
}

/// The entry points in the order of [`Kernel`].
const ENTRIES: [&str; 5] = [
    "load_one",
    "load_two",
    "move_one",
    "move_two",
    "move_two_twice",
];
const TYPES: [DType; 3] = [DType::F32, DType::F16, DType::Bf16];
/// As in the kernels.
const SINK_GROUPS: u64 = 64;

impl Prober {
    pub(crate) fn new(gpu: &Gpu) -> Self {
        let device = gpu.device.wgpu_device();
        let is_cpu = gpu.info.device_type == wgpu::DeviceType::Cpu;
        let has_u64 = is_cpu && device.features().contains(wgpu::Features::SHADER_INT64);
        // A software driver streams best in one narrow group per run, a GPU wants many wide ones.
        let (lanes, groups) = if is_cpu { (8, 64) } else { (256, 2048) };
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("probe"),
            entries: &entries(),
        });
        let sink = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("probe"),
            size: SINK_GROUPS * u64::from(lanes) * 16,
            usage: wgpu::BufferUsages::STORAGE,
            mapped_at_creation: false,
        });
        Self {
            device: device.clone(),
            queue: gpu.device.wgpu_queue().clone(),
            layout,
            pipelines: Default::default(),
            has_u64,
            sink,
            lanes,
            is_cpu,
            groups,
        }
    }

    fn pipelines(&self, dtype: DType) -> Option<&Pipelines> {
        let of_type = TYPES.iter().position(|&own| own == dtype)?;
        let all = || {
            let device = &self.device;
            let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some("probe"),
                source: wgpu::ShaderSource::Wgsl(source(dtype, self.has_u64).into()),
            });
            ENTRIES.map(|entry| {
                let of = |ragged| (entry, self.lanes, ragged);
                [false, true].map(|ragged| compile(device, &self.layout, &module, of(ragged)))
            })
        };
        Some(self.pipelines[of_type].get_or_init(all))
    }

    /// In which orders it can go through a case.
    pub(crate) fn orders(&self, case: &Case) -> Vec<Order> {
        Order::of(case, self.lanes as usize, self.is_cpu)
    }

    /// What `op` must load and store at the least, but for the bits of gates, in one dispatch or split into
    /// two; none for a tensor that does not fit one binding.
    pub(crate) fn bind(
        &self,
        case: &Case,
        operands: &Operands,
        (op, is_split): (Op, bool),
        order: Order,
    ) -> Option<Probe> {
        let has_residual = operands.residual.is_some();
        let (load, store) = match op {
            Op::Backward if has_residual => (Kernel::LoadTwo, Kernel::MoveTwoTwice),
            Op::Backward => (Kernel::LoadTwo, Kernel::MoveTwo),
            _ if has_residual => (Kernel::LoadOne, Kernel::MoveTwo),
            _ => (Kernel::LoadOne, Kernel::MoveOne),
        };
        let kernels = &[load, store][usize::from(!is_split)..];
        self.bind_kernels(case, (kernels, Streams::of(op, operands)), order)
    }

    /// A pass that loads an activation, and one that stores it too.
    pub(crate) fn bind_passes(
        &self,
        case: &Case,
        operands: &Operands,
        order: Order,
    ) -> Option<[Probe; 2]> {
        let streams = Streams::of(Op::Forward, operands);
        let load = self.bind_kernels(case, (&[Kernel::LoadOne], streams), order)?;
        let both = self.bind_kernels(case, (&[Kernel::MoveOne], streams), order)?;
        Some([load, both])
    }

    fn bind_kernels(
        &self,
        case: &Case,
        (kernels, streams): (&[Kernel], Streams<'_>),
        order: Order,
    ) -> Option<Probe> {
        let limits = self.device.limits();
        let bytes = streams.x.bytes().next_multiple_of(16);
        if bytes > limits.max_storage_buffer_binding_size {
            return None;
        }
        let pipelines = self.pipelines(case.dtype)?;
        let lanes = self.lanes as usize;
        let walk = Walk::new(case, order, lanes);
        let max_groups = limits.max_compute_workgroups_per_dimension as usize;
        let (params, grid) = walk.params(self.groups as usize, max_groups);
        let ragged = usize::from(walk.is_ragged());
        Some(Probe {
            pipelines: kernels
                .iter()
                .map(|&kernel| pipelines[kernel as usize][ragged].clone())
                .collect(),
            bindings: self.bindings(&params, streams),
            grid,
        })
    }

    fn bindings(&self, params: &[u32], streams: Streams<'_>) -> wgpu::BindGroup {
        let uniform = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("probe"),
            size: 4 * params.len() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let bytes = bytemuck::cast_slice(params);
        self.queue.write_buffer(&uniform, 0, bytes);
        let resources = [
            uniform.as_entire_binding(),
            binding(streams.x),
            binding(streams.second),
            binding(streams.output),
            self.sink.as_entire_binding(),
            binding(streams.other),
        ];
        let numbered = (0..).zip(resources);
        let entries: Vec<_> = numbered
            .map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource })
            .collect();
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("probe"),
            layout: &self.layout,
            entries: &entries,
        })
    }
}

/// The tensors that an operation goes through.
#[derive(Clone, Copy)]
struct Streams<'a> {
    x: &'a Tensor,
    /// dy, or what a forward adds.
    second: &'a Tensor,
    output: &'a Tensor,
    /// The gradient by what was added, if that is written.
    other: &'a Tensor,
}

impl<'a> Streams<'a> {
    fn of(op: Op, operands: &'a Operands) -> Self {
        let Operands { x, dy, y, dx, .. } = operands;
        let residual = operands.residual.as_ref();
        let other = residual.map_or(if op == Op::Backward { y } else { dx }, |residual| {
            &residual.gradient
        });
        let (second, output) = match op {
            Op::Backward => (dy, dx),
            _ => (residual.map_or(dy, |residual| &residual.added), y),
        };
        Self {
            x,
            second,
            output,
            other,
        }
    }
}

/// The floor of one operation on one tensor.
pub(crate) struct Probe {
    pipelines: Vec<wgpu::ComputePipeline>,
    bindings: wgpu::BindGroup,
    grid: [u32; 2],
}

impl Probe {
    /// Records it so many times, each after the one before.
    pub(crate) fn record(&self, encoder: &mut wgpu::CommandEncoder, times: u32) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_bind_group(0, &self.bindings, &[]);
        for _ in 0..times {
            for pipeline in &self.pipelines {
                pass.set_pipeline(pipeline);
                pass.dispatch_workgroups(self.grid[0], self.grid[1], 1);
            }
        }
    }

    /// A probe that left something out would be too low a floor.
    pub(crate) fn verify(&self, gpu: &Gpu, operands: &Operands, op: Op) -> Outcome {
        let bits = |tensor: &Tensor| -> wgnorm::Result<Vec<u32>> {
            let values = stored::read(&gpu.device, tensor)?;
            Ok(values.into_iter().map(f32::to_bits).collect())
        };
        let streams = Streams::of(op, operands);
        let has_residual = operands.residual.is_some();
        let mut want = bits(streams.x)?;
        if op == Op::Backward || has_residual {
            let second = bits(streams.second)?;
            want = both(want, second, streams.x.dtype());
        }
        let outputs = match op {
            Op::Backward if has_residual => vec![streams.output, streams.other],
            _ => vec![streams.output],
        };
        gpu.clock.time(|encoder| {
            for output in &outputs {
                let (buffer, bytes) = (output.buffer(), output.bytes());
                encoder.clear_buffer(buffer, output.offset(), Some(bytes));
            }
            self.record(encoder, 1);
            Ok(())
        })?;
        for output in outputs {
            if bits(output)? != want {
                return Err(format!("the probe of {} leaves something out", op.name()).into());
            }
        }
        Ok(())
    }
}

/// What is before the kernels: the words of a type, 64-bit integers or vectors.
fn source(dtype: DType, has_u64: bool) -> String {
    let [f16, bf16] = [
        include_str!("../../shaders/lib/element_f16.wgsl"),
        include_str!("../../shaders/lib/element_bf16.wgsl"),
    ];
    let halves = if has_u64 {
        include_str!("../../shaders/lib/element_half_u64.wgsl")
    } else {
        include_str!("../../shaders/lib/element_half_u32x2.wgsl")
    };
    let floats = if has_u64 {
        include_str!("probe_u64.wgsl")
    } else {
        include_str!("probe_vec4.wgsl")
    };
    let words = match dtype {
        DType::F16 => [f16, halves, include_str!("probe_half.wgsl")],
        DType::Bf16 => [bf16, halves, include_str!("probe_half.wgsl")],
        _ => [floats, include_str!("probe_f32.wgsl"), ""],
    };
    words.concat() + include_str!("probe.wgsl")
}

/// What the kernels make of two values, as the bits of what is stored.
fn both(a: Vec<u32>, b: Vec<u32>, dtype: DType) -> Vec<u32> {
    let pairs = a.into_iter().zip(b);
    if dtype == DType::F32 {
        return pairs.map(|(a, b)| a ^ b).collect();
    }
    let sums = pairs.map(|(a, b)| f32::from_bits(a) + f32::from_bits(b));
    let sums = stored::rounded(sums.collect(), dtype);
    sums.into_iter().map(f32::to_bits).collect()
}

fn compile(
    device: &wgpu::Device,
    layout: &wgpu::BindGroupLayout,
    module: &wgpu::ShaderModule,
    (entry, lanes, ragged): (&str, u32, bool),
) -> wgpu::ComputePipeline {
    let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(entry),
        bind_group_layouts: &[Some(layout)],
        immediate_size: 0,
    });
    let constants = [
        ("WORKGROUP", f64::from(lanes)),
        ("RAGGED", f64::from(u8::from(ragged))),
    ];
    device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(entry),
        layout: Some(&layout),
        module,
        entry_point: Some(entry),
        compilation_options: wgpu::PipelineCompilationOptions {
            constants: &constants,
            ..wgpu::PipelineCompilationOptions::default()
        },
        cache: None,
    })
}

fn entries() -> [wgpu::BindGroupLayoutEntry; 6] {
    let read = wgpu::BufferBindingType::Storage { read_only: true };
    let write = wgpu::BufferBindingType::Storage { read_only: false };
    let kinds = [
        wgpu::BufferBindingType::Uniform,
        read,
        read,
        write,
        write,
        write,
    ];
    let mut binding = 0..;
    kinds.map(|ty| wgpu::BindGroupLayoutEntry {
        binding: binding.next().unwrap_or_default(),
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty,
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        count: None,
    })
}

/// The whole tensor; its last word may be cut by the tensor's end, but not by its buffer's.
fn binding(tensor: &Tensor) -> wgpu::BindingResource<'_> {
    wgpu::BindingResource::Buffer(wgpu::BufferBinding {
        buffer: tensor.buffer(),
        offset: tensor.offset(),
        size: wgpu::BufferSize::new(tensor.bytes().next_multiple_of(16)),
    })
}
