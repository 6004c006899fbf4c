//! Files that something has happened to: whatever they hold, the example answers or refuses.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use safetensors::tensor::Dtype;

use crate::family_results::draw;
use crate::replay;
use crate::tail_results::with_residual;
use crate::types::stored;

type Metadata = &'static [(&'static str, &'static str)];

/// Small requests for all operations: evaluations where there are, so that every header can also be
/// read as another request.
fn originals() -> Vec<Vec<u8>> {
    let ops: [(&str, Metadata, &str); 8] = [
        ("batch_norm", &[("eps", "1e-3")], "running dy"),
        ("layer_norm", &[("normalized_dims", "2")], "dy"),
        ("rms_norm", &[("eps", "1e-6")], "weight dy"),
        ("group_norm", &[("num_groups", "1")], "bias dy"),
        ("instance_norm", &[("channel_axis", "1")], "running dy"),
        (
            "batch_renorm",
            &[("r_max", "3"), ("d_max", "5")],
            "running dy",
        ),
        ("weight_norm", &[("dim", "1")], "dw"),
        ("spectral_norm", &[("power_iterations", "2")], "dw"),
    ];
    let draw = |(op, metadata, tensors): (&str, Metadata, &str)| {
        let request = draw(op, &[2, 2], metadata, tensors).meta("mode", "eval");
        if !request.has("x") {
            return request.bytes();
        }
        let dtype = match op {
            "group_norm" => Dtype::F16,
            "instance_norm" => Dtype::BF16,
            _ => Dtype::F32,
        };
        let tail = with_residual(&request).meta("activation", "relu");
        stored(&tail, dtype).bytes()
    };
    ops.into_iter().map(draw).collect()
}

/// How many bytes come before the tensors' data.
fn header_end(file: &[u8]) -> usize {
    8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize
}

/// Neither a crash nor a half-written file, whatever the file.
fn assert_survived(file: &[u8], what: &str) {
    let ran = replay(file);
    let text = String::from_utf8_lossy(file);
    assert!(
        matches!(ran.code, 0 | 2) || ran.skipped(),
        "{what}: exit code {}, {}\n{text}",
        ran.code,
        ran.stderr
    );
    let panicked = ran.stderr.contains("panicked");
    assert!(!panicked, "{what}: {}\n{text}", ran.stderr);
    assert_eq!(ran.output.is_some(), ran.code == 0, "{what}\n{text}");
}

/// A file with this header and so many bytes of data.
fn with_header(header: &str, data: usize) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), &vec![0; data]].concat()
}

#[test]
fn truncated_files() {
    for file in originals() {
        let ends = (0..8).map(|i| i * file.len() / 8);
        for end in ends.chain([1, 7, 8, 9, file.len() - 1]) {
            replay(&file[..end]).assert_refused("not a safetensors file");
        }
    }
}

#[test]
fn flipped_bits() {
    let mut random = Pcg64::seed_from_u64(1);
    let originals = originals();
    for i in 0..240 {
        let mut file = originals[i / 3 % originals.len()].clone();
        let header = header_end(&file);
        for _ in 0..=i % 3 {
            file[random.random_range(0..header)] ^= 1 << random.random_range(0..8);
        }
        assert_survived(&file, "flipped bits");
    }
}

#[test]
fn other_digits() {
    // Numbers stay numbers, so that these get past the JSON.
    let mut random = Pcg64::seed_from_u64(2);
    let originals = originals();
    for i in 0..120 {
        let mut file = originals[i % originals.len()].clone();
        let digits = 8..header_end(&file);
        let digits: Vec<usize> = digits.filter(|&i| file[i].is_ascii_digit()).collect();
        for _ in 0..2 {
            file[digits[random.random_range(0..digits.len())]] = random.random_range(b'0'..=b'9');
        }
        assert_survived(&file, "other digits");
    }
}

#[test]
fn any_values() {
    let mut random = Pcg64::seed_from_u64(3);
    let originals = originals();
    for i in 0..24 {
        let mut file = originals[i % originals.len()].clone();
        let data = header_end(&file)..;
        random.fill(&mut file[data]);
        assert_survived(&file, "any values");
    }
}

#[test]
fn garbage() {
    let mut random = Pcg64::seed_from_u64(4);
    for length in 0..40 {
        let mut file = vec![0; length * length];
        random.fill(file.as_mut_slice());
        replay(&file).assert_refused("not a safetensors file");
    }
}

#[test]
fn header_lengths() {
    let file = originals().remove(0);
    let header = header_end(&file) as u64 - 8;
    for length in [
        0,
        1,
        header - 1,
        header + 1,
        100_000_001,
        1 << 40,
        u64::MAX - 7,
        u64::MAX,
    ] {
        let mut file = file.clone();
        file[..8].copy_from_slice(&length.to_le_bytes());
        replay(&file).assert_refused("not a safetensors file");
    }
}

#[test]
fn headers_made_to_hurt() {
    let op = r#""__metadata__":{"op":"batch_norm"}"#;
    let tensor = |name: &str, shape: &str, from: u64, to: u64| {
        format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[{from},{to}]}}"#)
    };
    let max = u64::MAX;
    for (header, data) in [
        (String::new(), 0),
        ("{}".into(), 0),
        ("[".repeat(1 << 20), 0),
        (r#"{"a":"#.repeat(1 << 16), 0),
        (r#"{"__metadata__":{"op":1}}"#.into(), 0),
        (r#"{"__metadata__":null}"#.into(), 0),
        (format!("{{{op}}}"), 0),
        (format!("{{{op},{}}}", tensor("x", "[2,2]", 16, 0)), 16),
        (format!("{{{op},{}}}", tensor("x", "[2,2]", 0, max)), 16),
        (format!("{{{op},{}}}", tensor("x", "[-1,2]", 0, 16)), 16),
        (
            format!("{{{op},{}}}", tensor("x", &format!("[{max},{max}]"), 0, 0)),
            0,
        ),
        (
            format!("{{{op},{}}}", tensor("x", &format!("[{max},0]"), 0, 0)),
            0,
        ),
        (
            format!("{{{op},{}}}", tensor("x", &format!("[0,{max}]"), 0, 0)),
            0,
        ),
        (
            format!(
                "{{{op},{}}}",
                tensor("x", &format!("[0,1,{max},{max}]"), 0, 0)
            ),
            0,
        ),
        (
            format!(
                "{{{op},{}}}",
                tensor("x", &format!("[0{}]", ",1".repeat(100_000)), 0, 0)
            ),
            0,
        ),
        (sums_beyond_64_bits(), 0),
    ] {
        let start: String = header.chars().take(80).collect();
        assert_survived(&with_header(&header, data), &start);
    }
}

/// Tensors that are valid one by one and end, together, at the last byte that 64 bits can count.
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
