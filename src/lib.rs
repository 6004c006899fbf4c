//! Batch normalization and its relatives on any GPU that wgpu reaches: training forward, running
//! statistics, inference and the fused backward pass, as WGSL compute kernels on Vulkan, Metal, DX12
//! and in the browser, with no CUDA.
//!
//! The convention first, since others leave it to be discovered: everything defaults to what
//! PyTorch does. Channels lie along dimension 1; the *biased* variance normalizes and the
//! *unbiased* one moves `running_var`; a momentum of 0.1 is the weight of the *new* batch. Each of
//! these is a type in [`BatchNormOptions`], so that a Keras, Flax or ONNX convention cannot be
//! mixed up with it silently.
//!
//! # A training step
//!
//! Operations are recorded and run when the recorder is submitted; only a download waits
//! for them, and a submission that is far ahead of the device.
//!
//! ```no_run
//! use wgnorm::{BatchNorm, BatchNormOptions, Device};
//!
//! # fn main() -> wgnorm::Result<()> {
//! # let (host_x, host_dy) = (vec![0.0f32; 32 * 64 * 28 * 28], vec![0.0f32; 32 * 64 * 28 * 28]);
//! let device = Device::new()?;
//! let norm = BatchNorm::new(&device, 64, BatchNormOptions::default())?;
//! let x = device.upload(&host_x, [32, 64, 28, 28])?;
//! let dy = device.upload(&host_dy, [32, 64, 28, 28])?;
//!
//! let mut step = device.recorder();
//! let (y, saved) = norm.forward_train(&mut step, &x)?;
//! let gradients = norm.backward(&mut step, &x, &dy, &saved)?;
//! step.submit()?;
//!
//! let dx: Vec<f32> = device.download(&gradients.dx)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Inference, and freezing
//!
//! ```no_run
//! # use wgnorm::{BatchNorm, BatchNormOptions, Device, Mode};
//! # fn main() -> wgnorm::Result<()> {
//! # let device = Device::new()?;
//! # let norm = BatchNorm::new(&device, 64, BatchNormOptions::default())?;
//! # let x = device.upload(&vec![0.0f32; 64 * 4], [4, 64])?;
//! let mut step = device.recorder();
//! let y = norm.infer(&mut step, &x)?; // one dispatch, running statistics
//! let (y, saved) = norm.forward(&mut step, &x, Mode::EVAL)?; // frozen: keeps what a backward needs
//! let (y, saved) = norm.forward(&mut step, &x, Mode::RECOMPUTE)?; // counts nothing twice
//! # Ok(())
//! # }
//! ```
//!
//! # Whose statistics
//!
//! A layer that is [frozen](Freeze) keeps its running statistics; [`Recalibration`] sets them to those of a
//! set of batches. Micro-batches before one update have them in common through
//! [`forward_train_pieces`](BatchNorm::forward_train_pieces), processes that train together through
//! [`moments`], and with [`GhostBatchNorm`] every so many samples have their own.
//!
//! # The relatives
//!
//! [`LayerNorm`], [`RmsNorm`], [`GroupNorm`], [`InstanceNorm`] and [`BatchRenorm`] are the same [`Norm`]
//! with other options, run on the same kernels and keep the same bounds. The [`guide`] says which one to
//! take, where it goes and what goes wrong.
//!
//! # Weights
//!
//! [`WeightNorm`] parts the length of a weight's slices from their direction. [`SpectralNorm`] divides a weight by its largest singular value, by PyTorch's power iteration, and has
//! its backward; [`spectral::functional`] is the layer underneath.
//!
//! # State files
//!
//! [`Norm::state`] brings what a layer remembers to the host, and [`mod@state`] reads and writes it as
//! safetensors with the names of PyTorch, Keras, Flax or Burn.
//!
//! # In an app that has a device
//!
//! [`Device::from_wgpu`] works on the app's own wgpu device, [`Tensor::from_buffer`] in its own
//! buffers and [`Device::record_into`] in its own encoder. The [`functional`] layer underneath
//! takes every tensor from the caller and allocates nothing.
//!
//! # What fails, and what never panics
//!
//! Arguments, shapes, options, state files, buffers of the caller's that do not serve, memory that runs
//! out and devices that go are each an [`Error`] and never a panic of this crate, and an operation that
//! is refused has recorded nothing. Only the [`mod@reference`] panics, over slices that do not fit its
//! shapes, as it documents.
//!
//! - **Loss.** A [lost](Error::DeviceLost) device stays lost, and nobody waits for it for more than some
//!   two seconds. A new [`Device`] in the same process works.
//! - **Memory.** Before it reports [`Error::OutOfMemory`], a device frees what it kept for the next
//!   tensors. Where drivers end the process instead, as software ones do, only a
//!   [budget](Device::set_memory_budget) keeps away from there.
//! - **Threads.** A thread that panics drops what it has recorded and leaves the device to the others:
//!   locks are held over no unfinished change, so that a poisoned one is used on.
//! - **Below.** A panic of wgpu while a download polls it counts as a loss, with its message printed. Other
//!   panics of wgpu pass through: it has one for a buffer of another `wgpu::Instance`, and its GL backend for
//!   a thread that keeps others waiting for over a second.
//! - **Handlers.** On an app's own device its handlers stay, and hear nothing of what is returned here as an
//!   error.
//!
//! # Folding a trained norm
//!
//! [`folding`] puts a batch norm into the convolution or linear layer before it, on the host, or makes
//! a scale and a shift of it for an app's own shader.
//!
//! # Accuracy and determinism
//!
//! Every result is tested against the float64 [`mod@reference`], which is public. The error of y stays
//! at about 1e-7 (relative L2) for |mean| / std from 1 to 1e7. Results depend on the shape, the
//! options and the class of device alone: two runs give the same bits. The [`derivation`] page
//! shows the backward pass step by step; the [`guide`] says which norm to take, where to put it and
//! what goes wrong.

mod error;
mod gpu;
mod kernels;
mod norm;
mod plan;
mod shape;

pub mod folding;
pub mod reference;
pub mod shaders;
pub mod state;

#[doc = include_str!("derivation.md")]
pub mod derivation {}

#[doc = include_str!("guide.md")]
pub mod guide {}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

pub use error::{Error, Result};
pub use gpu::{DType, Device, DeviceClass, Element, Limits, Recorder, Tensor};
pub use norm::{
    Activation, BatchNorm, BatchNormOptions, BatchRenorm, BatchRenormOptions, Freeze,
    GhostBatchNorm, GhostBatchNormOptions, Gradients, GroupNorm, GroupNormOptions, InstanceNorm,
    InstanceNormOptions, LayerNorm, LayerNormOptions, Mode, Moment, Momentum, Norm, PieceGradients,
    Recalibration, RenormSchedule, Restore, RmsNorm, RmsNormOptions, RunningVariance, Saved,
    SavedPieces, SavedStatistics, SpectralNorm, SpectralNormOptions, SpectralSaved, Statistics,
    Wanted, WantedGradients, WeightGradients, WeightNorm, WeightNormOptions, With, functional,
    moments, spectral,
};
pub use plan::{PlanOptions, Strategy};
pub use shape::{Shape, View};
pub use wgpu;
