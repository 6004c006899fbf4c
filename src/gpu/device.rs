//! The device: a wgpu device and queue with the caches that make a warm step free of creation.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ahead::Ahead;
use super::budget::Budget;
use super::groups::Groups;
use super::limits::{BINDINGS, FEATURES};
use super::pipeline::{Pipelines, layout_entry};
use super::pool::{Memory, Pool, Storage, fresh_id};
use super::scope::scoped;
use super::tensor::{DType, Element};
use super::{Limits, Recorder, Tensor, adapter};
use crate::{Error, Result, Shape};

/// A wgpu device and queue, with the pipelines, parameter blocks and pooled buffers of this crate.
///
/// Cloning is cheap and shares everything. All methods take `&self` and may be called from any
/// thread. Only [`download`](Self::download) and [`new`](Self::new) wait, both of which have async
/// twins for where nobody may block, and a [`submit`](Recorder::submit) that is far ahead of the device.
///
/// ```no_run
/// # fn main() -> wgnorm::Result<()> {
/// let device = wgnorm::Device::new()?;
/// let x = device.upload(&[1.0f32, 2.0, 3.0, 4.0], [2, 2])?;
/// assert_eq!(device.download::<f32>(&x)?, [1.0, 2.0, 3.0, 4.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Device {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    /// No two devices of a process have the same.
    pub(super) id: u64,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    limits: Limits,
    pub(super) budget: Arc<Budget>,
    pub(super) pool: Arc<Pool>,
    /// Buffers that the host can map, for downloads.
    pub(super) staging: Pool,
    /// The layout of one storage buffer, to ask wgpu whether a buffer can be bound here at all.
    probe: wgpu::BindGroupLayout,
    pub(super) pipelines: Pipelines,
    /// What a dispatch binds, once it was bound.
    pub(super) groups: Arc<Groups>,
    parameters: Mutex<HashMap<Box<[u8]>, Arc<Memory>>>,
    /// What an absent optional tensor is bound to: a range of its own for every binding number.
    placeholder: wgpu::Buffer,
    lost: Arc<Mutex<Option<String>>>,
    pub(super) ahead: Mutex<Ahead<wgpu::SubmissionIndex>>,
}

/// The bytes that each binding number has in the placeholder buffer: the largest offset alignment
/// that WebGPU allows.
pub(super) const PLACEHOLDER_BYTES: u64 = 256;
/// What the tensors of this crate can be used for.
const TENSOR_USAGE: wgpu::BufferUsages = wgpu::BufferUsages::STORAGE
    .union(wgpu::BufferUsages::COPY_SRC)
    .union(wgpu::BufferUsages::COPY_DST);
/// More parameter blocks than a program has shapes and layers; above it the cache starts anew.
const PARAMETER_BLOCKS: usize = 4096;

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every value behind these locks is whole between any two statements that hold them.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Device {
    /// The features of wgpu that the kernels make use of where a device has them; a device for
    /// [`from_wgpu`](Self::from_wgpu) does well to ask its adapter for those that it has.
    pub const OPTIONAL_FEATURES: wgpu::Features = FEATURES;

    /// Opens the best adapter: hardware before software, and what `WGPU_BACKEND`,
    /// `WGPU_ADAPTER_NAME` and `WGPU_POWER_PREF` ask for before both. Logs what it took, as a
    /// warning where that is a software driver.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn new() -> Result<Self> {
        pollster::block_on(Self::new_async())
    }

    /// [`new`](Self::new) for where nobody may block.
    pub async fn new_async() -> Result<Self> {
        let adapter = adapter::choose().await?;
        let info = adapter.get_info();
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("wgnorm"),
            required_features: adapter.features() & FEATURES,
            required_limits: Limits::request(&adapter.limits()),
            ..wgpu::DeviceDescriptor::default()
        };
        let (device, queue) =
            adapter
                .request_device(&descriptor)
                .await
                .map_err(|error| Error::Validation {
                    name: format!("opening {}", info.name),
                    message: error.to_string(),
                })?;
        let line = format!(
            "{} ({:?}, {} {})",
            info.name, info.backend, info.driver, info.driver_info
        );
        if info.device_type == wgpu::DeviceType::Cpu {
            log::warn!("using a software adapter: {line}");
        } else {
            log::info!("using {line}");
        }
        device.on_uncaptured_error(Arc::new(|error| log::error!("uncaptured: {error}")));
        let lost = Arc::new(Mutex::new(None));
        let told = Arc::clone(&lost);
        device.set_device_lost_callback(move |reason, message| {
            *lock(&told) = Some(format!("{reason:?}: {message}"));
        });
        Self::assemble(device, queue, lost)
    }

    /// Works on the caller's own device and queue: no callback is replaced, nothing is submitted
    /// or polled but by the methods that say so. Wrap a device once and clone the result: tensors
    /// belong to the wrapping that made them.
    ///
    /// Fails with [`Error::Unsupported`] where the device was made with smaller limits than the
    /// kernels need: 8 storage buffers, 256 invocations and 12 KiB of shared memory, all within
    /// WebGPU's defaults.
    pub fn from_wgpu(device: wgpu::Device, queue: wgpu::Queue) -> Result<Self> {
        Self::assemble(device, queue, Arc::default())
    }

    fn assemble(
        device: wgpu::Device,
        queue: wgpu::Queue,
        lost: Arc<Mutex<Option<String>>>,
    ) -> Result<Self> {
        let limits = Limits::of(&device)?;
        let bytes = u64::from(BINDINGS) * PLACEHOLDER_BYTES;
        let placeholder = scoped(&device, "wgnorm.placeholder", bytes, || {
            new_buffer(&device, "wgnorm.placeholder", bytes, TENSOR_USAGE)
        })?;
        let probe = scoped(&device, "wgnorm.probe", 0, || {
            let storage = wgpu::BufferBindingType::Storage { read_only: true };
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: Some("wgnorm.probe"),
                entries: &[layout_entry(0, storage)],
            })
        })?;
        Ok(Self {
            inner: Arc::new(Inner {
                id: fresh_id(),
                device,
                queue,
                limits,
                budget: Budget::unbounded(),
                pool: Arc::default(),
                staging: Pool::default(),
                probe,
                pipelines: Pipelines::default(),
                groups: Arc::default(),
                parameters: Mutex::default(),
                placeholder,
                lost,
                ahead: Mutex::default(),
            }),
        })
    }

    /// The wgpu device.
    #[must_use]
    pub fn wgpu_device(&self) -> &wgpu::Device {
        &self.inner.device
    }

    /// The wgpu queue.
    #[must_use]
    pub fn wgpu_queue(&self) -> &wgpu::Queue {
        &self.inner.queue
    }

    /// What the planner knows of this device.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// A recorder with a command encoder of its own, for [`Recorder::submit`].
    #[must_use]
    pub fn recorder(&self) -> Recorder<'static> {
        Recorder::own(self)
    }

    /// A recorder over the caller's encoder, which must be this device's: operations go where the
    /// encoder stands, and the caller finishes and submits it. Other commands may follow once the
    /// recorder is dropped.
    #[must_use]
    pub fn record_into<'e>(&self, encoder: &'e mut wgpu::CommandEncoder) -> Recorder<'e> {
        Recorder::over(self, encoder)
    }

    /// A tensor with the given elements, in memory order.
    pub fn upload<T: Element>(&self, data: &[T], shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        check_length("data", &shape, data.len())?;
        let tensor = self.empty(shape, T::DTYPE)?;
        self.write(&tensor, data)?;
        Ok(tensor)
    }

    /// A tensor whose elements are yet to be written; they may hold anything.
    pub fn empty(&self, shape: impl Into<Shape>, dtype: DType) -> Result<Tensor> {
        let shape = shape.into();
        let bytes = dtype.bytes(&shape);
        let limit = self.inner.limits.max_buffer_bytes;
        if bytes > limit {
            return Err(Error::TooLarge {
                name: "bytes of one tensor",
                needed: bytes,
                limit,
            });
        }
        let rounded = Pool::rounded(bytes).min(limit);
        let memory = match self.inner.pool.take(rounded) {
            Some(memory) => memory,
            None => self.create_memory("wgnorm.tensor", rounded, TENSOR_USAGE)?,
        };
        let storage = Storage::pooled(memory, Arc::downgrade(&self.inner.pool));
        Ok(Tensor::new(self, storage, 0, shape, dtype))
    }

    /// Overwrites all elements of a tensor. Like every write on a wgpu queue it happens before the
    /// next submission, also before operations that were recorded earlier but not yet submitted.
    pub fn write<T: Element>(&self, tensor: &Tensor, data: &[T]) -> Result<()> {
        tensor.expect_device("tensor", self)?;
        tensor.expect_dtype("tensor", T::DTYPE)?;
        tensor.expect_usage("tensor", wgpu::BufferUsages::COPY_DST)?;
        tensor.expect_unmapped("tensor")?;
        check_length("data", tensor.shape(), data.len())?;
        if data.is_empty() {
            return Ok(());
        }
        let bytes: &[u8] = bytemuck::cast_slice(data);
        // Half types in odd numbers end in the middle of the 4 bytes that a copy is counted in.
        let padded: Vec<u8>;
        let bytes = if bytes.len().is_multiple_of(4) {
            bytes
        } else {
            padded = [bytes, &[0, 0]].concat();
            &padded
        };
        lock(&self.inner.ahead).upload(bytes.len() as u64);
        self.scoped("writing a tensor", bytes.len() as u64, || {
            self.inner
                .queue
                .write_buffer(tensor.raw_buffer(), tensor.offset(), bytes);
        })
    }

    /// Runs `create` in error scopes, see [`scope`](super::scope); what fails because the device
    /// is lost says so.
    pub(super) fn scoped<T>(
        &self,
        name: &str,
        needed: u64,
        create: impl FnOnce() -> T,
    ) -> Result<T> {
        if let Some(lost) = self.lost() {
            return Err(lost);
        }
        scoped(&self.inner.device, name, needed, create)
            .map_err(|error| self.gone().unwrap_or(error))
    }

    /// Whether the device is lost, by its word or by trying: wgpu makes objects of a lost device
    /// without complaint, but a buffer that is fresh and cannot be mapped tells.
    pub(super) fn gone(&self) -> Option<Error> {
        if cfg!(target_arch = "wasm32") {
            // The answer would come too late.
            return self.lost();
        }
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let name = "wgnorm.alive";
        let device = &self.inner.device;
        // That there is no memory for it is no loss, and it could not be mapped then either.
        let made = scoped(device, name, 4, || new_buffer(device, name, 4, usage));
        let mapped = made.map(|buffer| {
            scoped(device, name, 4, || {
                buffer.map_async(wgpu::MapMode::Read, .., |_| {});
            })
        });
        if let Ok(Err(Error::Validation { message, .. })) = mapped {
            self.declare_lost(&message);
        }
        self.lost()
    }

    /// Why the device is lost, if it is known to be.
    pub(super) fn lost(&self) -> Option<Error> {
        lock(&self.inner.lost)
            .clone()
            .map(|reason| Error::DeviceLost { reason })
    }

    /// Remembers a loss, so that everything from now on says so; what was told first stays.
    pub(super) fn declare_lost(&self, reason: &str) {
        lock(&self.inner.lost).get_or_insert_with(|| reason.to_owned());
    }

    pub(super) fn probe_layout(&self) -> &wgpu::BindGroupLayout {
        &self.inner.probe
    }

    pub(super) fn placeholder(&self) -> &wgpu::Buffer {
        &self.inner.placeholder
    }

    /// A uniform buffer with these bytes. Blocks never change and are found by their content, so
    /// an operation that is repeated creates none and no recorded step can see another's values.
    pub(super) fn parameters(&self, bytes: &[u8]) -> Result<Arc<Memory>> {
        let mut parameters = lock(&self.inner.parameters);
        if let Some(block) = parameters.get(bytes) {
            return Ok(Arc::clone(block));
        }
        if parameters.len() >= PARAMETER_BLOCKS {
            parameters.clear();
        }
        let size = bytes.len() as u64;
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let block = self.create_memory("wgnorm.parameters", size, usage)?;
        self.scoped("wgnorm.parameters", size, || {
            self.inner.queue.write_buffer(&block.buffer, 0, bytes);
        })?;
        parameters.insert(bytes.into(), Arc::clone(&block));
        Ok(block)
    }
}

fn check_length(name: &'static str, shape: &Shape, got: usize) -> Result<()> {
    let expected = shape.numel();
    if expected == got {
        return Ok(());
    }
    Err(Error::Length {
        name,
        shape: shape.clone(),
        expected,
        got,
    })
}

pub(super) fn new_buffer(
    device: &wgpu::Device,
    label: &str,
    size: u64,
    usage: wgpu::BufferUsages,
) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size,
        usage,
        mapped_at_creation: false,
    })
}
