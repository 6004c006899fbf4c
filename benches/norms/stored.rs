//! Activations as the device stores them, in 32 bits or in 16.

use half::{bf16, f16};
use wgnorm::{DType, Device, Result, Tensor};

/// Writes the values rounded to the tensor's type.
pub(crate) fn write(device: &Device, tensor: &Tensor, values: &[f32]) -> Result<()> {
    match tensor.dtype() {
        DType::F16 => {
            let halves: Vec<f16> = values.iter().map(|&v| f16::from_f32(v)).collect();
            device.write(tensor, &halves)
        }
        DType::Bf16 => {
            let halves: Vec<bf16> = values.iter().map(|&v| bf16::from_f32(v)).collect();
            device.write(tensor, &halves)
        }
        _ => device.write(tensor, values),
    }
}

pub(crate) fn read(device: &Device, tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(match tensor.dtype() {
        DType::F16 => {
            let halves: Vec<f16> = device.download(tensor)?;
            halves.into_iter().map(f16::to_f32).collect()
        }
        DType::Bf16 => {
            let halves: Vec<bf16> = device.download(tensor)?;
            halves.into_iter().map(bf16::to_f32).collect()
        }
        _ => device.download(tensor)?,
    })
}

/// The values that the type can hold.
pub(crate) fn rounded(values: Vec<f32>, dtype: DType) -> Vec<f32> {
    match dtype {
        DType::F16 => values
            .into_iter()
            .map(|v| f16::from_f32(v).to_f32())
            .collect(),
        DType::Bf16 => values
            .into_iter()
            .map(|v| bf16::from_f32(v).to_f32())
            .collect(),
        _ => values,
    }
}

/// The same bytes as 32-bit values, for what only copies them.
pub(crate) fn words(device: &Device, tensor: &Tensor) -> Result<Tensor> {
    let len = tensor.bytes() as usize / 4;
    let buffer = tensor.buffer().clone();
    Tensor::from_buffer(device, buffer, tensor.offset(), [len], DType::U32)
}
