//! The numbers of a tensor in a file as the types that a state keeps them in.

use half::{bf16, f16};
use safetensors::tensor::Dtype;

use super::file::Entry;
use crate::{Error, Result, Shape};

/// A tensor of floats of any width as f32.
pub(super) fn floats(name: &str, entry: &Entry<'_>, shape: &Shape) -> Result<Vec<f32>> {
    let data = entry.data;
    let values = match entry.dtype {
        Dtype::F32 => elements(data, f32::from_le_bytes),
        Dtype::F16 => elements(data, |bytes| f16::from_le_bytes(bytes).to_f32()),
        Dtype::BF16 => elements(data, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        Dtype::F64 => narrowed(name, elements(data, f64::from_le_bytes))?,
        _ => return Err(other_type(name, entry, "F32, F16, BF16 or F64")),
    };
    expect_shape(name, entry, shape, &[shape])?;
    Ok(values)
}

/// A tensor of one integer as a count.
pub(super) fn count(name: &str, entry: &Entry<'_>) -> Result<u32> {
    let data = entry.data;
    let values: Vec<i128> = match entry.dtype {
        Dtype::I64 => elements(data, |bytes| i64::from_le_bytes(bytes).into()),
        Dtype::I32 => elements(data, |bytes| i32::from_le_bytes(bytes).into()),
        Dtype::U64 => elements(data, |bytes| u64::from_le_bytes(bytes).into()),
        Dtype::U32 => elements(data, |bytes| u32::from_le_bytes(bytes).into()),
        _ => return Err(other_type(name, entry, "I64, I32, U64 or U32")),
    };
    let [scalar, one] = [Shape::from([]), Shape::from([1])];
    expect_shape(name, entry, &scalar, &[&scalar, &one])?;
    let value = values.first().copied().unwrap_or_default();
    u32::try_from(value).map_err(|_| Error::StateValue {
        name: name.to_owned(),
        expected: "a count from 0 to 4294967295",
        got: value.to_string(),
    })
}

fn elements<const SIZE: usize, T>(data: &[u8], read: impl Fn([u8; SIZE]) -> T) -> Vec<T> {
    let chunks = data.chunks_exact(SIZE);
    chunks
        .filter_map(|chunk| chunk.first_chunk().copied())
        .map(read)
        .collect()
}

/// Infinities and NaN are kept, but none is made of a number.
fn narrowed(name: &str, values: Vec<f64>) -> Result<Vec<f32>> {
    let narrow = |value: f64| {
        let narrow = value as f32;
        if value.is_finite() && narrow.is_infinite() {
            return Err(Error::StateValue {
                name: name.to_owned(),
                expected: "numbers within f32's range",
                got: value.to_string(),
            });
        }
        Ok(narrow)
    };
    values.into_iter().map(narrow).collect()
}

fn expect_shape(name: &str, entry: &Entry<'_>, expected: &Shape, allowed: &[&Shape]) -> Result<()> {
    if allowed.contains(&&entry.shape) {
        return Ok(());
    }
    Err(Error::StateShape {
        name: name.to_owned(),
        expected: expected.clone(),
        got: entry.shape.clone(),
    })
}

fn other_type(name: &str, entry: &Entry<'_>, expected: &'static str) -> Error {
    Error::StateDType {
        name: name.to_owned(),
        expected,
        got: entry.dtype.to_string(),
    }
}
