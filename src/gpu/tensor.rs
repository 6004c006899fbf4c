//! Tensors: a range of a buffer with a shape and an element type.

use std::fmt;
use std::sync::Arc;

use super::Device;
use super::pool::Storage;
use crate::{Error, Result, Shape};

/// The element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DType {
    /// 32-bit float.
    F32,
    /// 16-bit float, two to a word.
    F16,
    /// The upper half of a 32-bit float, two to a word.
    Bf16,
    /// 32-bit unsigned integer.
    U32,
}

impl DType {
    /// The size of one element in bytes.
    #[must_use]
    pub const fn size(self) -> u64 {
        match self {
            Self::F32 | Self::U32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// The bytes of a tensor of that shape, rounded up to whole 32-bit words.
    #[must_use]
    pub fn bytes(self, shape: &Shape) -> u64 {
        let bytes = (shape.numel() as u64).saturating_mul(self.size());
        bytes.checked_next_multiple_of(4).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::U32 => "u32",
        })
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for half::f16 {}
    impl Sealed for half::bf16 {}
    impl Sealed for u32 {}
}

/// A host type that tensors are uploaded from and downloaded to.
pub trait Element: bytemuck::Pod + sealed::Sealed {
    /// The tensor type that it is.
    const DTYPE: DType;
}

impl Element for f32 {
    const DTYPE: DType = DType::F32;
}

impl Element for half::f16 {
    const DTYPE: DType = DType::F16;
}

impl Element for half::bf16 {
    const DTYPE: DType = DType::Bf16;
}

impl Element for u32 {
    const DTYPE: DType = DType::U32;
}

/// A contiguous range of a GPU buffer with a shape and an element type.
///
/// Cloning shares the memory. The memory of a tensor that this crate made is used again once the
/// last clone is gone and every recorder that uses it was submitted or dropped; the memory of one
/// that was recorded into the caller's own encoder is left to wgpu.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Which [`Device`] it is for: wgpu itself panics on buffers from another instance.
    device: u64,
    storage: Arc<Storage>,
    offset: u64,
    shape: Shape,
    dtype: DType,
}

impl Tensor {
    pub(super) fn new(
        device: &Device,
        storage: Storage,
        offset: u64,
        shape: Shape,
        dtype: DType,
    ) -> Self {
        Self {
            device: device.inner.id,
            storage: Arc::new(storage),
            offset,
            shape,
            dtype,
        }
    }

    /// A tensor in the caller's own buffer, from byte `offset` on. Nothing is copied, and the
    /// buffer stays the caller's.
    ///
    /// The buffer needs usage `STORAGE`, the offset must be a multiple of the device's
    /// `min_storage_buffer_offset_alignment`, and the buffer must be one of this device's (wgpu
    /// cannot tell a buffer that even comes from another `wgpu::Instance`, and panics or mistakes
    /// it for another one). A
    /// [`download`](Device::download) also needs `COPY_SRC`, a [`write`](Device::write) `COPY_DST`.
    ///
    /// Operations that are repeated with one tensor find what they bound before, and so are faster
    /// to record than with a new tensor each time. A buffer that was destroyed in between is then
    /// refused when the commands are submitted.
    pub fn from_buffer(
        device: &Device,
        buffer: wgpu::Buffer,
        offset: u64,
        shape: impl Into<Shape>,
        dtype: DType,
    ) -> Result<Self> {
        let shape = shape.into();
        let name = || "buffer".to_owned();
        let alignment = device.limits().offset_alignment;
        if !offset.is_multiple_of(alignment) {
            return Err(Error::Misaligned {
                name: name(),
                offset,
                alignment,
            });
        }
        let (needed, size) = (dtype.bytes(&shape), buffer.size());
        if offset.checked_add(needed).is_none_or(|end| end > size) {
            return Err(Error::BufferTooSmall {
                name: name(),
                needed,
                offset,
                size,
            });
        }
        let storage = Storage::foreign(device.remember(buffer, None));
        let tensor = Self::new(device, storage, offset, shape, dtype);
        tensor.expect_usage("buffer", wgpu::BufferUsages::STORAGE)?;
        tensor.expect_bindable("buffer", device)?;
        Ok(tensor)
    }

    /// The dimensions in memory order.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The element type.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The buffer that the tensor lies in. Whoever has asked for it may use it in ways that this
    /// crate does not see, so its memory is not used again for other tensors.
    #[must_use]
    pub fn buffer(&self) -> &wgpu::Buffer {
        self.storage.never_reuse();
        self.raw_buffer()
    }

    /// The same memory under another shape of as many elements.
    pub fn reshape(&self, shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        if shape.numel() != self.shape.numel() {
            return Err(Error::Shape {
                name: "shape",
                expected: format!("{} elements, as {} has", self.shape.numel(), self.shape),
                got: shape,
            });
        }
        Ok(Self {
            shape,
            ..self.clone()
        })
    }

    /// Where in the buffer the tensor starts, in bytes.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The size of the tensor in bytes, rounded up to whole 32-bit words.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.dtype.bytes(&self.shape)
    }

    /// Some of its elements as a tensor of their own: the first one and how many.
    pub(crate) fn window(&self, [first, len]: [u64; 2]) -> Self {
        let one = self.dtype.bytes(&Shape::from([2])) / 2;
        Self {
            offset: self.offset + first * one,
            shape: Shape::from([len as usize]),
            ..self.clone()
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.shape.numel() == 0
    }

    /// Whether both are the very same range of the same buffer.
    pub(crate) fn same_place(&self, other: &Self) -> bool {
        self.same_buffer(other) && self.offset == other.offset && self.bytes() == other.bytes()
    }

    pub(crate) fn same_buffer(&self, other: &Self) -> bool {
        self.raw_buffer() == other.raw_buffer()
    }

    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.same_buffer(other)
            && !(self.is_empty() || other.is_empty())
            && self.offset < other.offset + other.bytes()
            && other.offset < self.offset + self.bytes()
    }

    pub(crate) fn expect_dtype(&self, name: &'static str, expected: DType) -> Result<()> {
        if self.dtype == expected {
            return Ok(());
        }
        Err(Error::DType {
            name,
            expected,
            got: self.dtype,
        })
    }

    pub(crate) fn expect_device(&self, name: &'static str, device: &Device) -> Result<()> {
        if self.device == device.inner.id {
            return Ok(());
        }
        Err(Error::OtherDevice { name })
    }

    pub(super) fn expect_usage(&self, name: &str, needed: wgpu::BufferUsages) -> Result<()> {
        let got = self.raw_buffer().usage();
        if got.contains(needed) {
            return Ok(());
        }
        Err(Error::Usage {
            name: name.to_owned(),
            needed: format!("{needed:?}"),
            got: format!("{got:?}"),
        })
    }

    /// wgpu does not say whose a buffer is, but it refuses to bind a stranger's or a destroyed one.
    pub(super) fn expect_bindable(&self, name: &str, device: &Device) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let first = self.window([0, 1]);
        let resource = wgpu::BindingResource::Buffer(first.range());
        device.scoped(name, self.bytes(), || {
            let made = device
                .wgpu_device()
                .create_bind_group(&wgpu::BindGroupDescriptor {
                    label: Some("wgnorm.probe"),
                    layout: device.probe_layout(),
                    entries: &[wgpu::BindGroupEntry {
                        binding: 0,
                        resource,
                    }],
                });
            drop(made);
        })
    }

    /// A mapped buffer would be refused only at submission, where nobody knows its name any more.
    pub(super) fn expect_unmapped(&self, name: &'static str) -> Result<()> {
        if !self.is_empty() && self.storage.is_mapped(self.offset) {
            return Err(Error::Mapped { name });
        }
        Ok(())
    }

    /// What a kernel is given of the tensor.
    pub(super) fn range(&self) -> wgpu::BufferBinding<'_> {
        wgpu::BufferBinding {
            buffer: self.raw_buffer(),
            offset: self.offset,
            size: wgpu::BufferSize::new(self.bytes()),
        }
    }

    pub(super) fn raw_buffer(&self) -> &wgpu::Buffer {
        &self.storage.memory.buffer
    }

    pub(super) fn storage(&self) -> &Arc<Storage> {
        &self.storage
    }
}
