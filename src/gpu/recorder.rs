//! The recorder: where operations put their dispatches.

use std::sync::Arc;

use super::device::PLACEHOLDER_BYTES;
use super::pipeline::{Pipeline, PipelineKey, Program};
use super::pool::Storage;
use super::scope::scoped;
use super::{Device, Tensor};
use crate::{Error, Result};

/// Takes the commands of operations in order, in an encoder of its own or in the caller's.
///
/// Operations of one recorder see each other's results in the order of recording, and share one
/// compute pass. Nothing runs before the commands are submitted; a recorder that is dropped
/// without that has done nothing.
#[derive(Debug)]
pub struct Recorder<'e> {
    device: Device,
    // The pass is declared before the encoder that it writes to, so that it ends first.
    pass: Option<wgpu::ComputePass<'static>>,
    encoder: Encoder<'e>,
    /// Keeps pooled buffers out of the pool until the commands that use them are submitted: a
    /// write to a new tensor in one of them would otherwise come before those commands.
    held: Vec<Arc<Storage>>,
}

#[derive(Debug)]
enum Encoder<'e> {
    Own(wgpu::CommandEncoder),
    Caller(&'e mut wgpu::CommandEncoder),
}

impl Encoder<'_> {
    fn get(&mut self) -> &mut wgpu::CommandEncoder {
        match self {
            Self::Own(encoder) => encoder,
            Self::Caller(encoder) => encoder,
        }
    }
}

/// One dispatch: a kernel, its parameter block and its tensors by binding number.
pub(crate) struct Dispatch<'a, F: FnOnce() -> Program> {
    pub(crate) key: PipelineKey,
    pub(crate) program: F,
    pub(crate) parameters: &'a [u8],
    /// Bindings that are not named here get a placeholder, which the kernel's flags keep unread.
    pub(crate) tensors: &'a [(u32, &'a Tensor)],
    pub(crate) grid: [u32; 2],
}

impl Recorder<'static> {
    pub(super) fn own(device: &Device) -> Self {
        let descriptor = wgpu::CommandEncoderDescriptor {
            label: Some("wgnorm.recorder"),
        };
        let encoder = device.wgpu_device().create_command_encoder(&descriptor);
        Self {
            device: device.clone(),
            pass: None,
            encoder: Encoder::Own(encoder),
            held: Vec::new(),
        }
    }

    /// Submits what was recorded to the device's queue and returns without waiting for it.
    ///
    /// A recorder over the caller's encoder cannot be submitted: that is the caller's to do.
    pub fn submit(mut self) -> Result<()> {
        self.pass = None;
        let Encoder::Own(encoder) = self.encoder else {
            return Ok(());
        };
        if let Some(lost) = self.device.lost() {
            return Err(lost);
        }
        scoped(
            self.device.wgpu_device(),
            "submitting a recorder",
            0,
            || {
                self.device.wgpu_queue().submit([encoder.finish()]);
            },
        )
    }
}

impl<'e> Recorder<'e> {
    pub(super) fn over(device: &Device, encoder: &'e mut wgpu::CommandEncoder) -> Self {
        Self {
            device: device.clone(),
            pass: None,
            encoder: Encoder::Caller(encoder),
            held: Vec::new(),
        }
    }

    /// The device that the commands are for.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    pub(super) fn hold(&mut self, storage: Arc<Storage>) {
        match self.encoder {
            Encoder::Own(_) => self.held.push(storage),
            Encoder::Caller(_) => storage.never_reuse(),
        }
    }

    /// Fills a tensor with zero bytes.
    pub(crate) fn clear(&mut self, name: &'static str, tensor: &Tensor) -> Result<()> {
        tensor.expect_usage(name, wgpu::BufferUsages::COPY_DST)?;
        if tensor.bytes() == 0 {
            return Ok(());
        }
        self.pass = None;
        tensor.hold(self);
        let encoder = self.encoder.get();
        scoped(self.device.wgpu_device(), name, 0, || {
            encoder.clear_buffer(tensor.buffer(), tensor.offset(), Some(tensor.bytes()));
        })
    }

    pub(crate) fn dispatch<F: FnOnce() -> Program>(&mut self, d: Dispatch<'_, F>) -> Result<()> {
        let pipeline = self.device.pipeline(d.key, d.program)?;
        let parameters = self.device.parameters(d.parameters)?;
        let group = self.bind(&pipeline, &parameters, d.tensors)?;
        for (_, tensor) in d.tensors {
            tensor.hold(self);
        }
        let encoder = &mut self.encoder;
        let pass = self.pass.get_or_insert_with(|| {
            let descriptor = wgpu::ComputePassDescriptor {
                label: Some("wgnorm.pass"),
                timestamp_writes: None,
            };
            encoder
                .get()
                .begin_compute_pass(&descriptor)
                .forget_lifetime()
        });
        pass.set_pipeline(&pipeline.compiled);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(d.grid[0], d.grid[1], 1);
        Ok(())
    }

    fn bind(
        &self,
        pipeline: &Pipeline,
        parameters: &wgpu::Buffer,
        tensors: &[(u32, &Tensor)],
    ) -> Result<wgpu::BindGroup> {
        let device = self.device.wgpu_device();
        let mut entries = vec![wgpu::BindGroupEntry {
            binding: 0,
            resource: parameters.as_entire_binding(),
        }];
        for binding in &pipeline.bindings {
            let tensor = tensors.iter().find(|(number, _)| *number == binding.number);
            let resource = match tensor {
                Some((_, tensor)) => tensor.binding(),
                None => self.placeholder(binding.number),
            };
            entries.push(wgpu::BindGroupEntry {
                binding: binding.number,
                resource,
            });
        }
        let descriptor = wgpu::BindGroupDescriptor {
            label: Some(&pipeline.label),
            layout: &pipeline.layout,
            entries: &entries,
        };
        let bound = scoped(device, &pipeline.label, 0, || {
            device.create_bind_group(&descriptor)
        });
        bound.map_err(|error| self.blame(pipeline, tensors, error))
    }

    /// Says which tensor it was that wgpu refused to bind.
    fn blame(&self, pipeline: &Pipeline, tensors: &[(u32, &Tensor)], error: Error) -> Error {
        let refused = tensors.iter().find_map(|(number, tensor)| {
            let refusal = tensor.expect_bindable(&self.device).err()?;
            Some((*number, refusal))
        });
        let name = |number| pipeline.bindings.iter().find(|b| b.number == number);
        match refused {
            Some((number, Error::Validation { message, .. })) => Error::Validation {
                name: name(number)
                    .map_or(pipeline.label.as_str(), |b| b.name)
                    .to_owned(),
                message,
            },
            _ => error,
        }
    }

    fn placeholder(&self, number: u32) -> wgpu::BindingResource<'_> {
        wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: self.device.placeholder(),
            offset: u64::from(number) * PLACEHOLDER_BYTES,
            size: wgpu::BufferSize::new(PLACEHOLDER_BYTES),
        })
    }
}
