//! The elements of a tensor, in the type that the file stores them in and the device too.

use half::{bf16, f16};
use safetensors::tensor::Dtype;
use wgnorm::{DType, Device, Result, Tensor};

/// Numbers in memory order.
#[derive(Clone, Debug)]
pub(crate) enum Elements {
    F32(Vec<f32>),
    F16(Vec<f16>),
    Bf16(Vec<bf16>),
}

impl Elements {
    /// Reads what a file has, or nothing where the type is none of these.
    pub(crate) fn read(dtype: Dtype, bytes: &[u8]) -> Option<Self> {
        match dtype {
            Dtype::F32 => Some(Self::F32(each(bytes, f32::from_le_bytes))),
            Dtype::F16 => Some(Self::F16(each(bytes, f16::from_le_bytes))),
            Dtype::BF16 => Some(Self::Bf16(each(bytes, bf16::from_le_bytes))),
            _ => None,
        }
    }

    /// As a file has them.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::F32(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Self::F16(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Self::Bf16(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        }
    }

    /// The type by the file's name for it.
    pub(crate) fn dtype(&self) -> Dtype {
        match self {
            Self::F32(_) => Dtype::F32,
            Self::F16(_) => Dtype::F16,
            Self::Bf16(_) => Dtype::BF16,
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F16(values) => values.len(),
            Self::Bf16(values) => values.len(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn upload(&self, device: &Device, shape: &[usize]) -> Result<Tensor> {
        match self {
            Self::F32(values) => device.upload(values, shape),
            Self::F16(values) => device.upload(values, shape),
            Self::Bf16(values) => device.upload(values, shape),
        }
    }

    pub(crate) fn download(device: &Device, tensor: &Tensor) -> Result<Self> {
        match tensor.dtype() {
            DType::F16 => device.download(tensor).map(Self::F16),
            DType::Bf16 => device.download(tensor).map(Self::Bf16),
            // Of any other type but F32 the device says so.
            _ => device.download(tensor).map(Self::F32),
        }
    }
}

fn each<const N: usize, T>(bytes: &[u8], read: fn([u8; N]) -> T) -> Vec<T> {
    let read = |bytes: &[u8]| {
        let mut array = [0; N];
        array.copy_from_slice(bytes);
        read(array)
    };
    bytes.chunks_exact(N).map(read).collect()
}
