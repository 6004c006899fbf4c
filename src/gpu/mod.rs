//! The only folder that speaks to wgpu: the device and its caches, tensors, the recorder, and the
//! one function that waits.

mod adapter;
mod ahead;
mod bind;
mod budget;
mod device;
mod groups;
mod limits;
mod pipeline;
mod pool;
mod readback;
mod recorder;
mod scope;
mod tensor;
mod trace;

pub use device::Device;
pub use limits::{DeviceClass, Limits};
pub use pipeline::{Access, Binding};
pub(crate) use pipeline::{PipelineKey, Program};
pub use recorder::Recorder;
pub(crate) use recorder::{Dispatch, Prepared};
pub use tensor::{DType, Element, Tensor};
pub use trace::{Bound, Dispatched};
