//! The types that files store numbers in.

use half::{bf16, f16};
use safetensors::tensor::Dtype;

use crate::Request;

/// The values of a tensor as float64, which holds all of them.
pub(crate) fn wide(dtype: Dtype, bytes: &[u8]) -> Vec<f64> {
    macro_rules! wide {
        ($size:literal, $read:expr) => {{
            let each = bytes.chunks_exact($size);
            each.map(|b| $read(b.try_into().unwrap())).collect()
        }};
    }
    match dtype {
        Dtype::F64 => wide!(8, f64::from_le_bytes),
        Dtype::F32 => wide!(4, |b| f64::from(f32::from_le_bytes(b))),
        Dtype::F16 => wide!(2, |b| f16::from_le_bytes(b).to_f64()),
        Dtype::BF16 => wide!(2, |b| bf16::from_le_bytes(b).to_f64()),
        Dtype::I64 => wide!(8, |b| i64::from_le_bytes(b) as f64),
        Dtype::U8 => bytes.iter().map(|&byte| byte.into()).collect(),
        other => panic!("{other} is no type of these tests"),
    }
}

/// Half a unit in the last place of a 16-bit type, which is what storing a value in it may cost; nothing
/// for the other types, whose rounding is part of their bounds.
pub(crate) fn half_unit(dtype: Dtype, value: f64) -> f64 {
    let (digits, smallest) = match dtype {
        Dtype::F16 => (f16::MANTISSA_DIGITS, f16::MIN_POSITIVE.to_f64()),
        Dtype::BF16 => (bf16::MANTISSA_DIGITS, bf16::MIN_POSITIVE.to_f64()),
        _ => return 0.0,
    };
    let exponent = value.abs().max(smallest).log2().floor();
    (exponent - f64::from(digits)).exp2()
}

/// The same request with activations that are stored in that type, rounded to what it holds.
pub(crate) fn stored(request: &Request, dtype: Dtype) -> Request {
    let mut stored = request.clone();
    for name in ["x", "dy", "residual"] {
        let Some(values) = request.wide(name) else {
            continue;
        };
        let bytes = |value: &f64| match dtype {
            Dtype::F16 => f16::from_f64(*value).to_le_bytes().to_vec(),
            Dtype::BF16 => bf16::from_f64(*value).to_le_bytes().to_vec(),
            _ => (*value as f32).to_le_bytes().to_vec(),
        };
        let bytes = values.iter().flat_map(bytes).collect();
        stored = stored.raw(name, dtype, request.shape(name), bytes);
    }
    stored
}

#[test]
#[allow(clippy::float_cmp, reason = "powers of two are exact")]
fn units_in_the_last_place() {
    // Between two neighbours lie two halves of a unit, also where numbers are subnormal.
    for bits in [0x0000, 0x0003, 0x03ff, 0x0400, 0x3c00, 0x3fff, 0x7bfe] {
        let (low, high) = (f16::from_bits(bits), f16::from_bits(bits + 1));
        let gap = high.to_f64() - low.to_f64();
        assert_eq!(2.0 * half_unit(Dtype::F16, low.to_f64()), gap, "{low}");
        assert_eq!(2.0 * half_unit(Dtype::F16, -low.to_f64()), gap, "-{low}");
    }
    for bits in [0x0000, 0x007f, 0x0080, 0x3f80, 0x3fff, 0x7f7e] {
        let (low, high) = (bf16::from_bits(bits), bf16::from_bits(bits + 1));
        let gap = high.to_f64() - low.to_f64();
        assert_eq!(2.0 * half_unit(Dtype::BF16, low.to_f64()), gap, "{low}");
    }
    assert_eq!(half_unit(Dtype::F32, 1.0), 0.0);
}
