//! Values that do not fit their place.

use wgnorm::Error;
use wgnorm::state::{Convention, NormState, StateFile};

use crate::Handmade;

/// Reads the norm at `bn.`; leniently, since leniency is about names only.
fn read(file: &Handmade) -> Result<NormState, Error> {
    let bytes = file.bytes();
    let file = StateFile::parse(&bytes)?;
    file.at("bn.", Convention::PyTorch).lenient().read()
}

fn message(file: &Handmade) -> String {
    read(file).unwrap_err().to_string()
}

fn with_count(dtype: &str, shape: &[usize], bytes: &[u8]) -> Handmade {
    Handmade::default()
        .f32("bn.running_mean", &[1.0])
        .f32("bn.running_var", &[2.0])
        .with("bn.num_batches_tracked", dtype, shape, bytes)
}

fn count(dtype: &str, shape: &[usize], bytes: &[u8]) -> Option<u32> {
    let state = read(&with_count(dtype, shape, bytes)).unwrap();
    state.running.unwrap().num_batches_tracked
}

#[test]
fn tensors_of_one_norm_have_one_shape() {
    let file = Handmade::default()
        .f32("bn.weight", &[1.0, 2.0, 3.0])
        .f32("bn.bias", &[1.0, 2.0]);
    let expected = "bn.bias: expected shape [3], got [2]";
    assert_eq!(message(&file), expected);
    // As many elements in other dimensions are no vector of channels.
    let file =
        Handmade::default()
            .f32("bn.weight", &[1.0, 2.0])
            .with("bn.bias", "F32", &[1, 2], &[0; 8]);
    let expected = "bn.bias: expected shape [2], got [1, 2]";
    assert_eq!(message(&file), expected);
}

#[test]
fn floats_are_floats() {
    for (dtype, size) in [
        ("I32", 4),
        ("U8", 1),
        ("BOOL", 1),
        ("I64", 8),
        ("F8_E4M3", 1),
    ] {
        let file = Handmade::default().with("bn.weight", dtype, &[3], &vec![0; 3 * size]);
        let expected =
            format!("bn.weight: expected element type F32, F16, BF16 or F64, got {dtype}");
        assert_eq!(message(&file), expected);
    }
}

#[test]
fn no_number_becomes_an_infinity() {
    let of = |value: f64| Handmade::default().with("bn.weight", "F64", &[1], &value.to_le_bytes());
    let expected = "bn.weight: expected numbers within f32's range, got -1000";
    assert!(message(&of(-1e39)).starts_with(expected));
    for value in [f64::INFINITY, f64::NEG_INFINITY, 3.4e38, 1e-60] {
        assert_eq!(read(&of(value)).unwrap().gamma.unwrap(), [value as f32]);
    }
    assert!(read(&of(f64::NAN)).unwrap().gamma.unwrap()[0].is_nan());
}

#[test]
fn counts_are_integers_that_a_u32_holds() {
    for value in [0, 1, 1 << 20, i64::from(u32::MAX)] {
        assert_eq!(
            i64::from(count("I64", &[], &value.to_le_bytes()).unwrap()),
            value
        );
    }
    assert_eq!(count("I64", &[1], &7i64.to_le_bytes()), Some(7));
    assert_eq!(count("I32", &[], &7i32.to_le_bytes()), Some(7));
    assert_eq!(count("U32", &[], &u32::MAX.to_le_bytes()), Some(u32::MAX));
    assert_eq!(count("U64", &[], &7u64.to_le_bytes()), Some(7));
    let range = "bn.num_batches_tracked: expected a count from 0 to 4294967295, got";
    for (dtype, bytes, got) in [
        ("I64", (-1i64).to_le_bytes(), "-1"),
        ("I64", (1i64 << 32).to_le_bytes(), "4294967296"),
        ("I64", i64::MIN.to_le_bytes(), "-9223372036854775808"),
        ("U64", u64::MAX.to_le_bytes(), "18446744073709551615"),
    ] {
        let message = message(&with_count(dtype, &[], &bytes));
        assert_eq!(message, format!("{range} {got}"));
    }
    let negative = with_count("I32", &[], &(-5i32).to_le_bytes());
    assert_eq!(message(&negative), format!("{range} -5"));
}

#[test]
fn a_count_is_one_number() {
    for (shape, size) in [(&[2][..], 16), (&[0], 0), (&[1, 1], 8)] {
        let expected = format!("bn.num_batches_tracked: expected shape [], got {shape:?}");
        assert_eq!(message(&with_count("I64", shape, &vec![0; size])), expected);
    }
    let expected = "bn.num_batches_tracked: expected element type I64, I32, U64 or U32, got F32";
    assert_eq!(message(&with_count("F32", &[], &[0; 4])), expected);
}

#[test]
fn norms_without_channels_are_read_as_they_are() {
    let file = Handmade::default().f32("bn.weight", &[]);
    let state = read(&file).unwrap();
    assert_eq!(state.shape.dims(), [0]);
    assert_eq!(state.gamma.unwrap(), [0.0; 0]);
}
