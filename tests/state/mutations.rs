//! Ten thousand files that something has happened to, and some that were made to hurt: each is read or
//! refused, and what can be known of the answer is.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use wgnorm::Error;
use wgnorm::state::{NormState, StateFile};

use crate::mutants::{assert_sound, cut, flip, header_end, lie, misplace, originals, read_all};
use crate::with_header;

const EACH: usize = 2_000;

/// Mutates `EACH` files and returns what was made of them.
fn each(
    seed: u64,
    mut mutate: impl FnMut(&mut Vec<u8>, &mut Pcg64),
) -> Vec<Result<Vec<Result<NormState, Error>>, Error>> {
    let mut random = Pcg64::seed_from_u64(seed);
    let originals = originals();
    let mutated = (0..EACH).map(|i| {
        let mut file = originals[i % originals.len()].clone();
        mutate(&mut file, &mut random);
        let found = read_all(&file);
        assert_sound(found.as_deref().unwrap_or_default());
        found
    });
    mutated.collect()
}

fn refused<T>(found: &[Result<T, Error>]) -> usize {
    let refused = found
        .iter()
        .filter(|found| matches!(found, Err(Error::StateFile { .. })));
    refused.count()
}

#[test]
fn the_originals_are_read() {
    for file in originals() {
        let found = read_all(&file).unwrap();
        assert!(found.iter().flatten().count() >= 14);
    }
}

#[test]
fn truncated_and_extended_files() {
    let found = each(1, cut);
    assert_eq!(refused(&found), EACH);
}

#[test]
fn flipped_bits() {
    let found = each(2, flip);
    // Most break the header's grammar, some its sense, and some only make another name.
    let refused = refused(&found);
    assert!((EACH / 2..EACH).contains(&refused), "{refused} refused");
}

#[test]
fn lies_about_the_header_s_length() {
    let found = each(3, lie);
    assert_eq!(refused(&found), EACH);
}

#[test]
fn other_offsets_and_shapes() {
    let found = each(4, misplace);
    assert_eq!(refused(&found), EACH);
}

#[test]
fn other_types() {
    let types = [
        "F64", "F32", "F16", "BF16", "I64", "U64", "I32", "U32", "BOOL", "C64", "X9",
    ];
    let mut as_long = 0;
    let found = each(5, |file, random| {
        let end = header_end(file);
        let header = String::from_utf8(file[8..end].to_vec()).unwrap();
        let mark = "\"dtype\":\"";
        let places: Vec<usize> = header.match_indices(mark).map(|(at, _)| at).collect();
        let at = places[random.random_range(0..places.len())] + mark.len();
        let (before, behind) = header.split_at(at);
        let old = behind.split('"').next().unwrap();
        let new = types[random.random_range(0..types.len())];
        let size = |name: &str| name.trim_start_matches(char::is_alphabetic).parse::<u32>();
        as_long += usize::from(new != "X9" && size(new) == size(old));
        let header = [before, new, &behind[old.len()..]].concat();
        *file = with_header(&header, &file[end..]);
    });
    // A type that takes as many bytes leaves the file whole, and one tensor of another type.
    assert_eq!(refused(&found), EACH - as_long);
    let of_type = |found: &Result<NormState, Error>| matches!(found, Err(Error::StateDType { .. }));
    let typed = found.iter().flatten().filter(|f| f.iter().any(of_type));
    assert!(typed.count() > as_long / 4);
}

#[test]
fn files_made_to_hurt() {
    let max = u64::MAX;
    let tensor = |shape: &str, from: u64, to: u64| {
        format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[{from},{to}]}}}}"#)
    };
    for (header, data) in [
        (String::new(), 0),
        ("[".repeat(1 << 20), 0),
        (r#"{"a":"#.repeat(1 << 16), 0),
        (r#"{"__metadata__":{"op":1}}"#.into(), 0),
        (tensor("[2,2]", 16, 0), 16),
        (tensor("[2,2]", 0, max), 16),
        (tensor("[2,2]", 8, 24), 24),
        (tensor("[-1,2]", 0, 16), 16),
        (tensor("[1e1]", 0, 40), 40),
        (tensor(&format!("[{max},{max}]"), 0, 0), 0),
        (tensor(&format!("[{max},4]"), 0, 16), 16),
        (sums_beyond_64_bits(), 0),
    ] {
        let start: String = header.chars().take(80).collect();
        let found = StateFile::parse(&with_header(&header, &vec![0; data])).map(|_| ());
        assert!(
            matches!(found, Err(Error::StateFile { .. })),
            "{start}: {found:?}"
        );
    }
    // Much of nothing is a tensor, even if no norm's.
    let nothing = tensor(&format!("[0{}]", ",1".repeat(100_000)), 0, 0);
    assert!(StateFile::parse(&with_header(&nothing, &[])).is_ok());
}

/// Tensors that are valid one by one and end, together, at the last byte that 64 bits can count: with the
/// header before them they end beyond it.
fn sums_beyond_64_bits() -> String {
    let most = u64::MAX / 8;
    let (mut from, mut tensors) = (0, Vec::new());
    while from < u64::MAX {
        let to = from + most.min(u64::MAX - from);
        let size = to - from;
        tensors.push(format!(
            r#""t{from}":{{"dtype":"U8","shape":[{size}],"data_offsets":[{from},{to}]}}"#
        ));
        from = to;
    }
    format!("{{{}}}", tensors.join(","))
}
