//! The one error type. Every message names the argument and carries both numbers: what was
//! expected and what came.

use crate::{DType, Shape};

/// Everything that construction, recording, submission or a download can refuse.
///
/// Nothing is half-written when one of these is returned by a recording call: all checks come
/// before the first command.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No adapter fits what was asked for.
    #[error("no adapter found (tried {tried}); {hint}")]
    NoAdapter {
        /// What was looked for: backends, name, power preference.
        tried: String,
        /// What would help.
        hint: &'static str,
    },
    /// The device is gone (driver reset, unplugged, destroyed). Make a new
    /// [`Device`](crate::Device), and continue from what was downloaded last. Uploading, recording
    /// and submitting may go on for a while without notice, into the void; a download never does,
    /// and once a call has said it, all calls on that device do.
    #[error("the device was lost: {reason}")]
    DeviceLost {
        /// What the driver said.
        reason: String,
    },
    /// The device has no memory left for a buffer, or its
    /// [budget](crate::Device::set_memory_budget) has none, also after what waited for the next
    /// tensors was freed. What there is stays and works.
    #[error("out of memory while creating {name} ({needed} bytes)")]
    OutOfMemory {
        /// What was to be created.
        name: String,
        /// Its size in bytes.
        needed: u64,
    },
    /// A tensor's shape does not fit the operation.
    #[error("{name}: expected {expected}, got {got}")]
    Shape {
        /// The argument.
        name: &'static str,
        /// What the operation needs.
        expected: String,
        /// The shape that came.
        got: Shape,
    },
    /// A tensor's element type does not fit the operation.
    #[error("{name}: expected element type {expected}, got {got}")]
    DType {
        /// The argument.
        name: &'static str,
        /// What the operation takes.
        expected: DType,
        /// The type that came.
        got: DType,
    },
    /// The host data does not have as many elements as the shape says.
    #[error("{name}: shape {shape} has {expected} elements, but the data has {got}")]
    Length {
        /// The argument.
        name: &'static str,
        /// The shape asked for.
        shape: Shape,
        /// Its number of elements.
        expected: usize,
        /// The number of elements in the data.
        got: usize,
    },
    /// Batch statistics over a single value have no variance to speak of.
    #[error("expected more than 1 value per channel when training, got input size {shape}")]
    OneValuePerChannel {
        /// The shape of x.
        shape: Shape,
    },
    /// An option is outside its range.
    #[error("{name}: expected {expected}, got {got}")]
    Option {
        /// The option.
        name: &'static str,
        /// Its range.
        expected: &'static str,
        /// The value that came.
        got: String,
    },
    /// The operation needs a tensor that was not given.
    #[error("{name} is missing: {reason}")]
    Missing {
        /// The tensor.
        name: &'static str,
        /// Why it is needed.
        reason: &'static str,
    },
    /// A buffer does not hold as many bytes as the tensor's shape needs.
    #[error("{name}: the tensor needs {needed} bytes from offset {offset}, the buffer has {size}")]
    BufferTooSmall {
        /// The argument or the buffer's label.
        name: String,
        /// The bytes that shape and type need.
        needed: u64,
        /// Where the tensor starts.
        offset: u64,
        /// The size of the buffer.
        size: u64,
    },
    /// A tensor starts where the device cannot bind a buffer.
    #[error("{name}: offset {offset} is not a multiple of {alignment} bytes")]
    Misaligned {
        /// The argument or the buffer's label.
        name: String,
        /// Where the tensor starts.
        offset: u64,
        /// The device's rule.
        alignment: u64,
    },
    /// A buffer lacks usage flags.
    #[error("{name}: the buffer needs usage {needed}, it has {got}")]
    Usage {
        /// The argument or the buffer's label.
        name: String,
        /// The flags that the operation needs.
        needed: String,
        /// The flags that the buffer has.
        got: String,
    },
    /// A tensor belongs to another [`Device`](crate::Device) than the recorder.
    #[error("{name} belongs to another wgnorm Device (wrap a wgpu device once and clone that)")]
    OtherDevice {
        /// The argument.
        name: &'static str,
    },
    /// A buffer of the caller's is mapped, so that the device cannot use it.
    #[error("{name}: the buffer is mapped; unmap it first")]
    Mapped {
        /// The argument.
        name: &'static str,
    },
    /// Two arguments share memory where the operation would overwrite what it still reads.
    #[error(
        "{first} (bytes {first_start}..{first_end}) overlaps {second} (bytes \
         {second_start}..{second_end}) of the same buffer"
    )]
    Overlap {
        /// One argument.
        first: &'static str,
        /// Its first byte.
        first_start: u64,
        /// The byte behind its last.
        first_end: u64,
        /// The other argument.
        second: &'static str,
        /// Its first byte.
        second_start: u64,
        /// The byte behind its last.
        second_end: u64,
    },
    /// The tensor or the launch is larger than the device allows.
    #[error("{name}: {needed} exceeds the device's limit of {limit}")]
    TooLarge {
        /// What is too large, with its unit.
        name: &'static str,
        /// What would be needed.
        needed: u64,
        /// What the device allows.
        limit: u64,
    },
    /// The adapter or the caller's device lacks something that every operation needs.
    #[error("the device is too small: {name} must be at least {needed}, it is {got}")]
    Unsupported {
        /// The limit or feature.
        name: &'static str,
        /// What is needed.
        needed: u64,
        /// What the device has.
        got: u64,
    },
    /// A forced strategy does not apply to this shape.
    #[error("strategy {strategy} does not apply to {shape} with axis {axis}: {reason}")]
    Strategy {
        /// The strategy that was asked for.
        strategy: &'static str,
        /// The shape of x.
        shape: Shape,
        /// The channel axis, or the first dimension that is normalized over.
        axis: usize,
        /// What stands against it.
        reason: &'static str,
    },
    /// Bytes are not a safetensors file, or would not become one.
    #[error("not a state file: {reason}")]
    StateFile {
        /// What is wrong with them.
        reason: String,
    },
    /// A state has not exactly the tensors that it should.
    #[error("the state does not fit: missing {missing:?}, unexpected {unexpected:?}")]
    StateNames {
        /// What it should have and has not.
        missing: Vec<String>,
        /// What it has and should not.
        unexpected: Vec<String>,
    },
    /// A tensor of a state has another shape than the layer or the state's other tensors.
    #[error("{name}: expected shape {expected}, got {got}")]
    StateShape {
        /// The tensor, as the file calls it.
        name: String,
        /// The shape that fits.
        expected: Shape,
        /// The shape that came.
        got: Shape,
    },
    /// A tensor of a state file has an element type that it cannot be read from.
    #[error("{name}: expected element type {expected}, got {got}")]
    StateDType {
        /// The tensor, as the file calls it.
        name: String,
        /// The types that can be read.
        expected: &'static str,
        /// The type that came, by the file's word.
        got: String,
    },
    /// A value of a state file does not fit the type that it is kept in.
    #[error("{name}: expected {expected}, got {got}")]
    StateValue {
        /// The tensor, as the file calls it.
        name: String,
        /// The values that fit.
        expected: &'static str,
        /// The value that came.
        got: String,
    },
    /// wgpu refused a call for a reason that this crate cannot see beforehand: a buffer from
    /// another device or destroyed, or a driver that cannot compile a kernel.
    #[error("{name}: {message}")]
    Validation {
        /// The call.
        name: String,
        /// What wgpu said.
        message: String,
    },
}

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;
