//! Values as tensors store them, in 32 bits or in 16.

use half::{bf16, f16};
use wgnorm::{DType, Device, Shape, Tensor};

use crate::guarded::POISON;

/// The types that activations have.
pub(crate) const HALVES: [DType; 2] = [DType::F16, DType::Bf16];

/// A NaN of each 16-bit type that no kernel makes: the ones that they write are quiet.
fn poison(dtype: DType) -> u16 {
    match dtype {
        DType::F16 => 0x7d5a,
        _ => 0x7f8d,
    }
}

fn bits(value: f32, dtype: DType) -> u16 {
    match dtype {
        DType::F16 => f16::from_f32(value).to_bits(),
        _ => bf16::from_f32(value).to_bits(),
    }
}

fn value(bits: u16, dtype: DType) -> f32 {
    match dtype {
        DType::F16 => f16::from_bits(bits).to_f32(),
        _ => bf16::from_bits(bits).to_f32(),
    }
}

/// The 16-bit value that is nearest to a float64.
fn nearest(value: f64, dtype: DType) -> u16 {
    match dtype {
        DType::F16 => f16::from_f64(value).to_bits(),
        _ => bf16::from_f64(value).to_bits(),
    }
}

/// The words of a tensor with these values; what follows an odd number of 16-bit ones is NaN.
pub(crate) fn encode(values: &[f32], dtype: DType) -> Vec<u32> {
    if dtype == DType::F32 {
        return values.iter().map(|value| value.to_bits()).collect();
    }
    let halves: Vec<u16> = values.iter().map(|&value| bits(value, dtype)).collect();
    let word = |pair: &[u16]| {
        let second = pair.get(1).copied().unwrap_or(poison(dtype));
        u32::from(pair[0]) | u32::from(second) << 16
    };
    halves.chunks(2).map(word).collect()
}

/// A tensor of nothing but a NaN that no kernel makes.
pub(crate) fn poisoned(len: usize, dtype: DType) -> Vec<u32> {
    if dtype == DType::F32 {
        return vec![POISON; len];
    }
    let half = u32::from(poison(dtype));
    vec![half | half << 16; len.div_ceil(2)]
}

/// The first `len` values of a tensor's words, and whether one of them is still poison.
pub(crate) fn decode(words: &[u32], len: usize, dtype: DType) -> (Vec<f32>, bool) {
    if dtype == DType::F32 {
        let values = words.iter().copied().map(f32::from_bits).collect();
        return (values, words.contains(&POISON));
    }
    let halves = words
        .iter()
        .flat_map(|word| [*word as u16, (*word >> 16) as u16]);
    let halves: Vec<u16> = halves.take(len).collect();
    let left = halves.contains(&poison(dtype));
    (
        halves.iter().map(|&bits| value(bits, dtype)).collect(),
        left,
    )
}

/// The values that the type can hold.
pub(crate) fn rounded(values: Vec<f32>, dtype: DType) -> Vec<f32> {
    if dtype == DType::F32 {
        return values;
    }
    let round = |v| value(bits(v, dtype), dtype);
    values.into_iter().map(round).collect()
}

pub(crate) fn upload(device: &Device, values: &[f32], shape: &Shape, dtype: DType) -> Tensor {
    let tensor = device.empty(shape, dtype).unwrap();
    write(device, &tensor, values);
    tensor
}

pub(crate) fn write(device: &Device, tensor: &Tensor, values: &[f32]) {
    match tensor.dtype() {
        DType::F16 => {
            let halves: Vec<f16> = values.iter().map(|&v| f16::from_f32(v)).collect();
            device.write(tensor, &halves).unwrap();
        }
        DType::Bf16 => {
            let halves: Vec<bf16> = values.iter().map(|&v| bf16::from_f32(v)).collect();
            device.write(tensor, &halves).unwrap();
        }
        _ => device.write(tensor, values).unwrap(),
    }
}

pub(crate) fn download(device: &Device, tensor: &Tensor) -> Vec<f32> {
    match tensor.dtype() {
        DType::F16 => {
            let halves: Vec<f16> = device.download(tensor).unwrap();
            halves.into_iter().map(f16::to_f32).collect()
        }
        DType::Bf16 => {
            let halves: Vec<bf16> = device.download(tensor).unwrap();
            halves.into_iter().map(bf16::to_f32).collect()
        }
        _ => device.download(tensor).unwrap(),
    }
}

/// What f32 arithmetic may be off by before it is stored, by the sizes of what was added up.
const SLACK: f64 = 1e-6;

/// Holds each stored value to what float64 has, rounded once: no other value may be stored than those
/// that lie within the slack of f32.
pub(crate) fn hold_rounded(
    case: &impl std::fmt::Debug,
    name: &str,
    (got, want, sizes): (&[f32], &[f64], &[f64]),
    dtype: DType,
) {
    assert_eq!((got.len(), want.len()), (sizes.len(), sizes.len()));
    for (i, &got) in got.iter().enumerate() {
        let slack = SLACK * sizes[i];
        let end = |sign: f64| value(nearest(want[i] + sign * slack, dtype), dtype);
        let (low, high) = (end(-1.0), end(1.0));
        assert!(
            got >= low && got <= high,
            "{case:?}: {name}[{i}] is {got}, and {} within {slack:.1e} is {low} to {high}",
            want[i]
        );
    }
}
