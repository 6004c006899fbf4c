//! State files that something has happened to, and everything that can be read of them.

use rand::RngExt;
use rand_pcg::Pcg64;

use wgnorm::Error;
use wgnorm::state::{Convention, NormState, StateFile};

/// Files of several types and conventions; the largest has the tensors of other layers, too.
pub(crate) fn originals() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/state");
    let torch = ["f32", "f16", "bf16", "f64"];
    torch
        .map(|name| std::fs::read(format!("{folder}/torch_{name}.safetensors")).unwrap())
        .into()
}

/// How many bytes come before the tensors' data.
pub(crate) fn header_end(file: &[u8]) -> usize {
    8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize
}

/// Everything that can be read of a file, by every convention, strictly and leniently.
pub(crate) fn read_all(bytes: &[u8]) -> Result<Vec<Result<NormState, Error>>, Error> {
    use Convention::{Burn, Flax, Keras, PyTorch};
    let file = StateFile::parse(bytes)?;
    let mut prefixes = vec![String::new(), "params.".to_owned()];
    prefixes.extend(file.names().map(|name| {
        let end = name.rfind('.').map_or(0, |dot| dot + 1);
        name[..end].to_owned()
    }));
    prefixes.dedup();
    let mut found = Vec::new();
    for prefix in &prefixes {
        for convention in [PyTorch, Keras, Flax, Burn] {
            let section = file.at(prefix, convention);
            found.push(section.read());
            found.push(section.lenient().read());
        }
    }
    Ok(found)
}

/// States whose tensors are not as long as they say would be worse than an error.
pub(crate) fn assert_sound(found: &[Result<NormState, Error>]) {
    for state in found.iter().flatten() {
        let expected = state.shape.numel();
        let running = state.running.iter();
        let statistics = running.flat_map(|running| [&running.mean, &running.var]);
        for values in state.gamma.iter().chain(&state.beta).chain(statistics) {
            assert_eq!(values.len(), expected);
        }
    }
}

/// Ends too early, or has something behind it.
pub(crate) fn cut(file: &mut Vec<u8>, random: &mut Pcg64) {
    if random.random_bool(0.9) {
        file.truncate(random.random_range(0..file.len()));
    } else {
        file.resize(file.len() + random.random_range(1..40), 0);
    }
}

/// Has some other bits in its header.
#[allow(clippy::ptr_arg, reason = "all mutations have one type")]
pub(crate) fn flip(file: &mut Vec<u8>, random: &mut Pcg64) {
    let end = header_end(file);
    for _ in 0..random.random_range(1..4) {
        file[random.random_range(0..end)] ^= 1 << random.random_range(0..8);
    }
}

/// Says that its header has another length.
#[allow(clippy::ptr_arg, reason = "all mutations have one type")]
pub(crate) fn lie(file: &mut Vec<u8>, random: &mut Pcg64) {
    let length = (header_end(file) - 8) as u64;
    let lie = match random.random_range(0..4) {
        0 => random.random_range(0..length),
        1 => length + random.random_range(1..file.len() as u64),
        2 => u64::MAX - random.random_range(0..40),
        _ => 1 << random.random_range(14..64),
    };
    file[..8].copy_from_slice(&lie.to_le_bytes());
}

/// Says that a tensor lies elsewhere or has another shape.
#[allow(clippy::ptr_arg, reason = "all mutations have one type")]
pub(crate) fn misplace(file: &mut Vec<u8>, random: &mut Pcg64) {
    let mark = ["\"data_offsets\":[", "\"shape\":["][random.random_range(0..2)];
    other_digits(file, random, mark);
}

/// Replaces some digits behind `mark` by others; the header keeps its length.
fn other_digits(file: &mut [u8], random: &mut Pcg64, mark: &str) {
    let end = header_end(file);
    let header = String::from_utf8(file[8..end].to_vec()).unwrap();
    let places: Vec<usize> = header.match_indices(mark).map(|(at, _)| at).collect();
    let begin = 8 + places[random.random_range(0..places.len())] + mark.len();
    let list = file[begin..].iter().take_while(|&&b| b != b']').count();
    let digits: Vec<usize> = (begin..begin + list)
        .filter(|&at| file[at].is_ascii_digit())
        .collect();
    // A count has the shape [], which has none.
    if let Some(&at) = digits.get(random.random_range(0..digits.len().max(1))) {
        let other = b'0' + (file[at] - b'0' + random.random_range(1..10)) % 10;
        file[at] = other;
    } else {
        file[begin + list] = b'}';
    }
}
