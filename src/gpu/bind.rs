//! What a dispatch binds: found among the bind groups that were made before, or made.

use super::device::PLACEHOLDER_BYTES;
use super::groups::{Bound, GroupKey};
use super::pipeline::{Access, Binding, Pipeline};
use super::pool::Memory;
use super::{Device, Tensor};
use crate::{Error, Result};

/// Tensors by binding number.
type Tensors<'a> = [(u32, &'a Tensor)];

impl Device {
    /// A bind group of the pipeline's layout; bindings without a tensor get a placeholder.
    pub(super) fn bind(
        &self,
        pipeline: &Pipeline,
        parameters: &Memory,
        tensors: &Tensors<'_>,
    ) -> Result<wgpu::BindGroup> {
        debug_assert!(
            disjoint(pipeline, tensors),
            "{}: WebGPU forbids to bind written memory twice",
            pipeline.label
        );
        if let Some(lost) = self.lost() {
            return Err(lost);
        }
        let key = key(pipeline, parameters, tensors)?;
        if let Some(group) = self.inner.groups.find(&key) {
            return Ok(group);
        }
        let group = self
            .make_group(pipeline, parameters, tensors)
            .map_err(|error| self.blame(pipeline, tensors, error))?;
        // wgpu makes one of a lost device without complaint, but in an encoder of the caller's it would
        // be an error that the caller has to answer for.
        if let Some(lost) = self.gone() {
            return Err(lost);
        }
        self.inner.groups.keep(key, &group);
        Ok(group)
    }

    /// After commands were refused: a buffer may have been destroyed after it was bound, and to bind
    /// it anew tells which.
    pub(super) fn distrust_groups(&self) {
        self.inner.groups.clear();
    }

    fn make_group(
        &self,
        pipeline: &Pipeline,
        parameters: &Memory,
        tensors: &Tensors<'_>,
    ) -> Result<wgpu::BindGroup> {
        let mut entries = vec![wgpu::BindGroupEntry {
            binding: 0,
            resource: parameters.buffer.as_entire_binding(),
        }];
        entries.extend(pipeline.program.bindings.iter().map(|binding| {
            let tensor = find(tensors, binding);
            let range = tensor.map_or_else(|| self.nothing(binding.number), Tensor::range);
            wgpu::BindGroupEntry {
                binding: binding.number,
                resource: wgpu::BindingResource::Buffer(range),
            }
        }));
        self.scoped(&pipeline.label, 0, || {
            self.wgpu_device()
                .create_bind_group(&wgpu::BindGroupDescriptor {
                    label: Some(&pipeline.label),
                    layout: &pipeline.layout,
                    entries: &entries,
                })
        })
    }

    /// Says which tensor it was that wgpu refused to bind.
    fn blame(&self, pipeline: &Pipeline, tensors: &Tensors<'_>, error: Error) -> Error {
        let refused = tensors.iter().find_map(|(number, tensor)| {
            let binding = pipeline
                .program
                .bindings
                .iter()
                .find(|b| b.number == *number)?;
            tensor.expect_bindable(binding.argument(), self).err()
        });
        refused.unwrap_or(error)
    }

    /// What an absent tensor is bound to.
    pub(super) fn nothing(&self, number: u32) -> wgpu::BufferBinding<'_> {
        wgpu::BufferBinding {
            buffer: self.placeholder(),
            offset: u64::from(number) * PLACEHOLDER_BYTES,
            size: wgpu::BufferSize::new(PLACEHOLDER_BYTES),
        }
    }
}

fn find<'a>(tensors: &Tensors<'a>, binding: &Binding) -> Option<&'a Tensor> {
    let found = tensors.iter().find(|(number, _)| *number == binding.number);
    found.map(|(_, tensor)| *tensor)
}

/// The key of what will be bound. Also refuses mapped buffers, each time: whether a buffer is mapped
/// is no part of its identity.
fn key(pipeline: &Pipeline, parameters: &Memory, tensors: &Tensors<'_>) -> Result<GroupKey> {
    let mut bound = Vec::with_capacity(1 + pipeline.program.bindings.len());
    bound.push(Some(Bound {
        memory: parameters.id,
        offset: 0,
        bytes: parameters.buffer.size(),
    }));
    for binding in &pipeline.program.bindings {
        let tensor = find(tensors, binding);
        if let Some(tensor) = tensor {
            tensor.expect_unmapped(binding.argument())?;
        }
        bound.push(tensor.map(|tensor| Bound {
            memory: tensor.storage().memory.id,
            offset: tensor.offset(),
            bytes: tensor.bytes(),
        }));
    }
    Ok(GroupKey {
        pipeline: pipeline.id,
        bound,
    })
}

/// Whether no binding that is written shares memory with another one. wgpu lets it pass natively,
/// a browser does not.
fn disjoint(pipeline: &Pipeline, tensors: &Tensors<'_>) -> bool {
    let is_written = |number| {
        let binding = pipeline
            .program
            .bindings
            .iter()
            .find(|b| b.number == number);
        binding.is_some_and(|b| b.access == Access::ReadWrite)
    };
    tensors.iter().enumerate().all(|(i, (a, first))| {
        let rest = &tensors[i + 1..];
        rest.iter()
            .all(|(b, second)| !first.overlaps(second) || !(is_written(*a) || is_written(*b)))
    })
}
