//! The yardstick, a copy of the same size, and the other ways to copy that keep it honest.

use wgnorm::wgpu;
use wgnorm::{Device, Tensor};

use crate::Outcome;
use crate::clock::Clock;

/// The ways to copy that a device has; the yardstick comes first.
pub(crate) struct Copier {
    device: wgpu::Device,
    layout: wgpu::BindGroupLayout,
    styles: Vec<Style>,
}

/// One way to copy.
struct Style {
    name: &'static str,
    /// None lets the queue's own copy command do it.
    kernel: Option<Kernel>,
}

#[derive(Clone)]
struct Kernel {
    pipeline: wgpu::ComputePipeline,
    /// The bytes that a workgroup copies.
    group_bytes: u64,
}

/// What a kernel style is made of.
struct Recipe {
    name: &'static str,
    element: Element,
    workgroup: u32,
    /// Elements that a group copies, if more than one per invocation.
    block: Option<u32>,
}

#[derive(Clone, Copy, PartialEq)]
enum Element {
    F32,
    F32x4,
    U64x2,
}

impl Element {
    fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F32x4 | Self::U64x2 => 16,
        }
    }

    fn source(self) -> &'static str {
        match self {
            Self::F32 => concat!("alias T = f32;\n", include_str!("copy.wgsl")),
            Self::F32x4 => concat!("alias T = vec4<f32>;\n", include_str!("copy.wgsl")),
            Self::U64x2 => concat!("alias T = vec2<u64>;\n", include_str!("copy.wgsl")),
        }
    }
}

/// The name of the yardstick.
const YARDSTICK: &str = "vec4, workgroup 256";

/// A lane of the streaming ones takes 2,048 elements, far from the 65,535 loop iterations after which
/// lavapipe stops.
const RECIPES: [Recipe; 7] = [
    Recipe::new(YARDSTICK, Element::F32x4, 256, None),
    Recipe::new("vec4, workgroup 64", Element::F32x4, 64, None),
    Recipe::new("vec4, 4 per lane", Element::F32x4, 64, Some(256)),
    Recipe::new("vec4, streaming", Element::F32x4, 8, Some(16_384)),
    Recipe::new("f32, workgroup 256", Element::F32, 256, None),
    Recipe::new("64-bit, workgroup 64", Element::U64x2, 64, None),
    Recipe::new("64-bit, streaming", Element::U64x2, 8, Some(16_384)),
];

impl Recipe {
    const fn new(name: &'static str, element: Element, workgroup: u32, block: Option<u32>) -> Self {
        Self {
            name,
            element,
            workgroup,
            block,
        }
    }

    fn compile(&self, device: &wgpu::Device, layout: &wgpu::PipelineLayout) -> Kernel {
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(self.name),
            source: wgpu::ShaderSource::Wgsl(self.element.source().into()),
        });
        let entry_point = match self.block {
            None => "copy_one",
            Some(_) => "copy_blocks",
        };
        let block = self.block.unwrap_or(self.workgroup);
        let constants = [
            ("WORKGROUP", f64::from(self.workgroup)),
            ("BLOCK", f64::from(block)),
        ];
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(self.name),
            layout: Some(layout),
            module: &module,
            entry_point: Some(entry_point),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &constants,
                ..wgpu::PipelineCompilationOptions::default()
            },
            cache: None,
        });
        Kernel {
            pipeline,
            group_bytes: u64::from(block) * self.element.bytes(),
        }
    }
}

impl Copier {
    pub(crate) fn new(device: &wgpu::Device) -> Self {
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("copy"),
            entries: &[storage(0, true), storage(1, false)],
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("copy"),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let has_u64 = device.features().contains(wgpu::Features::SHADER_INT64);
        let usable = RECIPES
            .iter()
            .filter(|recipe| has_u64 || recipe.element != Element::U64x2);
        let mut styles: Vec<Style> = usable
            .map(|recipe| Style {
                name: recipe.name,
                kernel: Some(recipe.compile(device, &pipeline_layout)),
            })
            .collect();
        styles.push(Style {
            name: "copy command",
            kernel: None,
        });
        Self {
            device: device.clone(),
            layout,
            styles,
        }
    }

    /// Every way to copy x to y, the yardstick first.
    pub(crate) fn bind(&self, x: &Tensor, y: &Tensor) -> Vec<Copy> {
        let styles = self.styles.iter();
        styles.map(|style| self.bind_style(style, x, y)).collect()
    }

    fn bind_style(&self, style: &Style, x: &Tensor, y: &Tensor) -> Copy {
        // The last element may be cut by the tensor's end, but not by its buffer's.
        let bytes = x.bytes().next_multiple_of(16);
        let windows = match &style.kernel {
            None => Vec::new(),
            Some(kernel) => self.windows(kernel, bytes, x, y),
        };
        Copy {
            name: style.name,
            pipeline: style.kernel.as_ref().map(|kernel| kernel.pipeline.clone()),
            windows,
            from: (x.buffer().clone(), x.offset()),
            to: (y.buffer().clone(), y.offset()),
            bytes,
        }
    }

    /// A tensor that is larger than one binding is copied window by window.
    fn windows(&self, kernel: &Kernel, bytes: u64, x: &Tensor, y: &Tensor) -> Vec<Window> {
        let limits = self.device.limits();
        let largest = limits.max_storage_buffer_binding_size & !255;
        let max_groups = u64::from(limits.max_compute_workgroups_per_dimension);
        let mut windows = Vec::new();
        let mut start = 0;
        while start < bytes {
            let len = largest.min(bytes - start);
            let groups = len.div_ceil(kernel.group_bytes);
            let height = groups.div_ceil(max_groups);
            windows.push(Window {
                bindings: self.bindings(x, y, start, len),
                grid: [groups.div_ceil(height) as u32, height as u32],
            });
            start += len;
        }
        windows
    }

    fn bindings(&self, x: &Tensor, y: &Tensor, start: u64, len: u64) -> wgpu::BindGroup {
        let entries = [(0, x), (1, y)].map(|(binding, tensor)| wgpu::BindGroupEntry {
            binding,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: tensor.buffer(),
                offset: tensor.offset() + start,
                size: wgpu::BufferSize::new(len),
            }),
        });
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("copy"),
            layout: &self.layout,
            entries: &entries,
        })
    }
}

/// One way to copy one tensor to another; the last of a device's is its own command, which is no
/// kernel and may be out of the reach of any.
pub(crate) struct Copy {
    pub(crate) name: &'static str,
    pipeline: Option<wgpu::ComputePipeline>,
    windows: Vec<Window>,
    from: (wgpu::Buffer, u64),
    to: (wgpu::Buffer, u64),
    bytes: u64,
}

struct Window {
    bindings: wgpu::BindGroup,
    grid: [u32; 2],
}

impl Copy {
    /// Records so many copies, each after the one before.
    pub(crate) fn record(&self, encoder: &mut wgpu::CommandEncoder, times: u32) {
        let Some(pipeline) = &self.pipeline else {
            let ((from, start), (to, end)) = (&self.from, &self.to);
            for _ in 0..times {
                encoder.copy_buffer_to_buffer(from, *start, to, *end, self.bytes);
            }
            return;
        };
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(pipeline);
        for _ in 0..times {
            for window in &self.windows {
                pass.set_bind_group(0, &window.bindings, &[]);
                pass.dispatch_workgroups(window.grid[0], window.grid[1], 1);
            }
        }
    }

    /// A copy that leaves something out would be a fine yardstick for nobody.
    pub(crate) fn verify(&self, device: &Device, clock: &Clock, tensors: [&Tensor; 2]) -> Outcome {
        let [x, y] = tensors;
        let (buffer, start) = &self.to;
        clock.time(|encoder| {
            encoder.clear_buffer(buffer, *start, Some(self.bytes));
            self.record(encoder, 1);
            Ok(())
        })?;
        let (x, y) = (device.download::<u32>(x)?, device.download::<u32>(y)?);
        let same = x == y;
        if !same {
            return Err(format!("the copy '{}' does not copy", self.name).into());
        }
        Ok(())
    }
}

fn storage(binding: u32, read_only: bool) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Storage { read_only },
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        count: None,
    }
}
