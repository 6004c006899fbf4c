//! The recorder: where operations put their dispatches.

use std::sync::Arc;

use super::pipeline::{Pipeline, PipelineKey, Program};
use super::pool::Storage;
use super::{Device, Dispatched, Tensor};
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
    pass: Option<Pass>,
    encoder: Encoder<'e>,
    /// Keeps pooled buffers out of the pool until the commands that use them are submitted: a
    /// write to a new tensor in one of them would otherwise come before those commands.
    held: Vec<Arc<Storage>>,
    /// What was dispatched, once somebody wants to know.
    trace: Option<Vec<Dispatched>>,
    /// What waits for the rest of its operation.
    waiting: Option<Vec<Prepared>>,
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

/// An open compute pass. wgpu reports what was wrong with a pass when it ends, so it must end in
/// an error scope.
#[derive(Debug)]
struct Pass {
    device: Device,
    commands: Option<wgpu::ComputePass<'static>>,
}

impl Pass {
    fn end(&mut self) -> Result<()> {
        let commands = self.commands.take();
        self.device
            .scoped("recording", 0, || drop(commands))
            .inspect_err(|_| self.device.distrust_groups())
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            log::error!("a dropped recorder could not end its pass: {error}");
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
    /// Tensors of which the kernel sees one window: its first element and length, of which the first
    /// lies where a binding may begin.
    pub(crate) activations: &'a [(u32, &'a Tensor)],
    pub(crate) window: [u64; 2],
    pub(crate) grid: [u32; 2],
}

/// A dispatch that can no longer fail: everything that it needs exists.
#[derive(Debug)]
pub(crate) struct Prepared {
    pipeline: Arc<Pipeline>,
    group: wgpu::BindGroup,
    storages: Vec<Arc<Storage>>,
    grid: [u32; 2],
    traced: Option<Box<Dispatched>>,
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
            trace: None,
            waiting: None,
        }
    }

    /// Submits what was recorded to the device's queue and returns without waiting for it.
    ///
    /// It does wait, except in a browser, for earlier ones where 64 of them, or what was uploaded for
    /// them and is over 256 MiB, may still be under way: a loop that never downloads takes memory for
    /// no more than that.
    ///
    /// On a device that was lost without a word this may succeed; a download then says so.
    pub fn submit(mut self) -> Result<()> {
        const NAME: &str = "submitting a recorder";
        self.end_pass()?;
        let Encoder::Own(encoder) = self.encoder else {
            let message = "it records into the caller's encoder, which is the caller's to submit";
            return Err(Error::Validation {
                name: NAME.to_owned(),
                message: message.to_owned(),
            });
        };
        let submission = self
            .device
            .scoped(NAME, 0, || {
                self.device.wgpu_queue().submit([encoder.finish()])
            })
            .inspect_err(|_| self.device.distrust_groups())?;
        drop(self.held);
        self.device.follow(submission);
        Ok(())
    }
}

impl<'e> Recorder<'e> {
    pub(super) fn over(device: &Device, encoder: &'e mut wgpu::CommandEncoder) -> Self {
        Self {
            device: device.clone(),
            pass: None,
            encoder: Encoder::Caller(encoder),
            held: Vec::new(),
            trace: None,
            waiting: None,
        }
    }

    /// The device that the commands are for.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Keeps from here on what every operation dispatches, for [`traced`](Self::traced).
    ///
    /// The memory of what is bound is not used again for other tensors, so this is for looking into an
    /// operation, not for a training loop.
    pub fn trace(&mut self) {
        self.trace.get_or_insert_default();
    }

    /// The dispatches since [`trace`](Self::trace), in order. Tensors that are only filled with zeros,
    /// as for an empty x, take none.
    #[must_use]
    pub fn traced(&self) -> &[Dispatched] {
        self.trace.as_deref().unwrap_or_default()
    }

    /// Fills tensors with zero bytes, all or none of them.
    pub(crate) fn clear(&mut self, tensors: &[(&'static str, &Tensor)]) -> Result<()> {
        for (name, tensor) in tensors {
            tensor.expect_usage(name, wgpu::BufferUsages::COPY_DST)?;
            tensor.expect_unmapped(name)?;
            tensor.expect_bindable(name, &self.device)?;
        }
        self.end_pass()?;
        for (_, tensor) in tensors {
            self.hold(Arc::clone(tensor.storage()));
            let encoder = self.encoder.get();
            encoder.clear_buffer(tensor.raw_buffer(), tensor.offset(), Some(tensor.bytes()));
        }
        Ok(())
    }

    /// Makes everything that a dispatch needs and records nothing, so that an operation of
    /// several dispatches is recorded whole or not at all.
    pub(crate) fn prepare<F: FnOnce() -> Program>(&self, d: Dispatch<'_, F>) -> Result<Prepared> {
        let pipeline = self.device.pipeline(d.key, d.program)?;
        let parameters = self.device.parameters(d.parameters)?;
        let windows = d
            .activations
            .iter()
            .map(|&(number, tensor)| (number, tensor.window(d.window)));
        let windows: Vec<_> = windows.collect();
        let mut tensors = d.tensors.to_vec();
        tensors.extend(windows.iter().map(|(number, window)| (*number, window)));
        let group = self.device.bind(&pipeline, &parameters, &tensors)?;
        let storages = tensors
            .iter()
            .map(|(_, tensor)| Arc::clone(tensor.storage()));
        let storages = storages.collect();
        let traced = self.trace.as_ref().map(|_| {
            let traced = Dispatched::new(&self.device, &pipeline, d.parameters, &tensors, d.grid);
            Box::new(traced)
        });
        Ok(Prepared {
            storages,
            pipeline,
            group,
            grid: d.grid,
            traced,
        })
    }

    /// Records an operation that is made of others: all that they dispatch, or nothing if one of them is
    /// refused. None of them may fill tensors with zeros.
    pub(crate) fn whole<T>(&mut self, record: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let others = self.waiting.replace(Vec::new());
        let result = record(self);
        let waiting = std::mem::replace(&mut self.waiting, others);
        if result.is_ok() {
            self.dispatch(waiting.into_iter().flatten());
        }
        result
    }

    /// Records dispatches in order.
    pub(crate) fn dispatch(&mut self, prepared: impl IntoIterator<Item = Prepared>) {
        if let Some(waiting) = &mut self.waiting {
            waiting.extend(prepared);
            return;
        }
        for dispatch in prepared {
            for storage in dispatch.storages {
                self.hold(storage);
            }
            let (encoder, device) = (&mut self.encoder, &self.device);
            let pass = self.pass.get_or_insert_with(|| {
                let descriptor = wgpu::ComputePassDescriptor {
                    label: Some("wgnorm.pass"),
                    timestamp_writes: None,
                };
                let commands = encoder.get().begin_compute_pass(&descriptor);
                Pass {
                    device: device.clone(),
                    commands: Some(commands.forget_lifetime()),
                }
            });
            if let (Some(trace), Some(traced)) = (&mut self.trace, dispatch.traced) {
                trace.push(*traced);
            }
            if let Some(commands) = &mut pass.commands {
                commands.set_pipeline(&dispatch.pipeline.compiled);
                commands.set_bind_group(0, &dispatch.group, &[]);
                commands.dispatch_workgroups(dispatch.grid[0], dispatch.grid[1], 1);
            }
        }
    }

    fn end_pass(&mut self) -> Result<()> {
        self.pass.take().map_or(Ok(()), |mut pass| pass.end())
    }

    fn hold(&mut self, storage: Arc<Storage>) {
        match self.encoder {
            Encoder::Own(_) => self.held.push(storage),
            Encoder::Caller(_) => storage.never_reuse(),
        }
    }
}
