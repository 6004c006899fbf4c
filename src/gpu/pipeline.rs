//! Compiled kernels and what identifies them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::Device;
use super::device::lock;
use super::pool::fresh_id;
use crate::Result;

/// A pipeline, once somebody has compiled it.
type Slot = Arc<Mutex<Option<Arc<Pipeline>>>>;

/// The compiled pipelines of a device.
pub(super) type Pipelines = Mutex<HashMap<PipelineKey, Slot>>;

/// How a kernel uses a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Declared `read`.
    Read,
    /// Declared `read_write`.
    ReadWrite,
}

/// A storage buffer that a kernel declares, at its number and under its WGSL name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: &'static str,
    /// How it is declared.
    pub access: Access,
}

impl Binding {
    /// What errors call the tensor: as the caller does, where WGSL has a shorter name.
    pub(super) fn argument(self) -> &'static str {
        match self.name {
            "tracked" => "num_batches_tracked",
            name => name,
        }
    }
}

/// What tells one compiled kernel from another on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PipelineKey {
    pub(crate) kernel: &'static str,
    /// A number for each choice of linked snippets.
    pub(crate) variant: u32,
    pub(crate) flags: u32,
    pub(crate) workgroup: u32,
}

/// A kernel with everything linked, ready to compile.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// The stem of the shader file, which is also the entry point's name.
    pub(crate) name: &'static str,
    pub(crate) sources: Vec<&'static str>,
    pub(crate) bindings: Vec<Binding>,
    pub(crate) constants: Vec<(&'static str, f64)>,
}

#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) id: u64,
    pub(super) label: String,
    pub(super) compiled: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
    pub(super) program: Program,
}

impl Device {
    /// The pipeline of `key`, compiled on first use.
    pub(super) fn pipeline(
        &self,
        key: PipelineKey,
        program: impl FnOnce() -> Program,
    ) -> Result<Arc<Pipeline>> {
        // Compiling takes long, so only those wait for it who need this very pipeline.
        let slot = Arc::clone(lock(&self.inner.pipelines).entry(key).or_default());
        let mut slot = lock(&slot);
        if let Some(pipeline) = &*slot {
            return Ok(Arc::clone(pipeline));
        }
        let program = program();
        let label = format!("wgnorm.{}", program.name);
        let pipeline = self.scoped(&label, 0, || {
            Pipeline::compile(&self.inner.device, &label, program)
        })?;
        Ok(Arc::clone(slot.insert(Arc::new(pipeline))))
    }
}

impl Pipeline {
    /// Compiles in the caller's error scope.
    pub(super) fn compile(device: &wgpu::Device, label: &str, program: Program) -> Self {
        let mut entries = vec![layout_entry(0, wgpu::BufferBindingType::Uniform)];
        for binding in &program.bindings {
            let read_only = binding.access == Access::Read;
            let storage = wgpu::BufferBindingType::Storage { read_only };
            entries.push(layout_entry(binding.number, storage));
        }
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(label),
            source: wgpu::ShaderSource::Wgsl(program.sources.concat().into()),
        });
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(label),
            entries: &entries,
        });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(label),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let compiled = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(label),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some(program.name),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &program.constants,
                // Every kernel writes its shared memory before it reads it.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        Self {
            id: fresh_id(),
            label: label.to_owned(),
            compiled,
            layout,
            program,
        }
    }
}

pub(super) fn layout_entry(
    binding: u32,
    ty: wgpu::BufferBindingType,
) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty,
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        count: None,
    }
}
