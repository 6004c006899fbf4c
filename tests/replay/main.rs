//! The `replay` example as its users meet it: a program that reads a file and writes a file, judged
//! by the float64 reference, by PyTorch's goldens, and by what it does with files that are wrong.
//!
//! `cargo test` builds the example first; `cargo test --test replay` alone does not.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

mod family_golden;
mod family_refusals;
mod family_results;
mod golden;
mod mutations;
mod oracle;
mod refusals;
mod results;
mod sample;
mod tail_golden;
mod tail_refusals;
mod tail_results;
mod types;

/// A case file in the making.
#[derive(Clone, Default)]
struct Request {
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>,
}

impl Request {
    /// A batch norm of x with these options.
    fn new(metadata: &[(&str, &str)], shape: &[usize], x: &[f32]) -> Self {
        let request = Self::default().meta("op", "batch_norm").f32("x", shape, x);
        let each = metadata.iter();
        each.fold(request, |request, (key, value)| request.meta(key, value))
    }

    /// Reads a case back.
    fn read(bytes: &[u8]) -> Self {
        let (_, header) = SafeTensors::read_metadata(bytes).unwrap();
        let metadata = header.metadata().clone().unwrap();
        Self {
            metadata: metadata.into_iter().collect(),
            tensors: Results::read(bytes).0,
        }
    }

    fn meta(mut self, key: &str, value: &str) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    fn without_meta(mut self, key: &str) -> Self {
        self.metadata.remove(key);
        self
    }

    fn without(mut self, tensor: &str) -> Self {
        self.tensors.remove(tensor);
        self
    }

    fn f32(self, name: &str, shape: &[usize], values: &[f32]) -> Self {
        let bytes = values.iter().copied().flat_map(f32::to_le_bytes);
        self.raw(name, Dtype::F32, shape, bytes.collect())
    }

    fn raw(mut self, name: &str, dtype: Dtype, shape: &[usize], bytes: Vec<u8>) -> Self {
        self.tensors
            .insert(name.into(), (dtype, shape.to_vec(), bytes));
        self
    }

    fn has(&self, tensor: &str) -> bool {
        self.tensors.contains_key(tensor)
    }

    fn shape(&self, tensor: &str) -> &[usize] {
        &self.tensors[tensor].1
    }

    /// The values of a tensor.
    fn wide(&self, tensor: &str) -> Option<Vec<f64>> {
        let (dtype, _, bytes) = self.tensors.get(tensor)?;
        Some(types::wide(*dtype, bytes))
    }

    /// A metadata value, or its default.
    fn option<T: FromStr<Err: std::fmt::Debug>>(&self, key: &str, default: T) -> T {
        let given = self.metadata.get(key);
        given.map_or(default, |value| value.parse().unwrap())
    }

    fn bytes(&self) -> Vec<u8> {
        let views = self.tensors.iter().map(|(name, (dtype, shape, bytes))| {
            let view = TensorView::new(*dtype, shape.clone(), bytes).unwrap();
            (name, view)
        });
        let metadata = self.metadata.clone().into_iter().collect();
        safetensors::serialize(views, Some(metadata)).unwrap()
    }

    /// Runs the example on the file, which has to succeed; `None` where there is no adapter.
    fn results(&self) -> Option<Results> {
        let ran = replay(&self.bytes());
        if ran.skipped() {
            return None;
        }
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        Some(Results::read(&ran.output.unwrap()))
    }
}

/// What came out, by name.
struct Results(BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>);

impl Results {
    fn read(bytes: &[u8]) -> Self {
        let file = SafeTensors::deserialize(bytes).unwrap();
        let owned = |view: &TensorView<'_>| {
            let data = view.data().to_vec();
            (view.dtype(), view.shape().to_vec(), data)
        };
        let all = file.iter().map(|(name, view)| (name.into(), owned(&view)));
        Self(all.collect())
    }

    fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// The values of an F32 tensor, which has to have that shape.
    fn f32(&self, name: &str, shape: &[usize]) -> Vec<f32> {
        let (dtype, got, bytes) = &self.0[name];
        assert_eq!((*dtype, got.as_slice()), (Dtype::F32, shape), "{name}");
        let values = bytes.chunks_exact(4);
        values
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect()
    }

    /// The values of a tensor, which has to have that shape and type.
    fn wide(&self, name: &str, shape: &[usize], dtype: Dtype) -> Vec<f64> {
        let (got_type, got_shape, bytes) = &self.0[name];
        let got = (*got_type, got_shape.as_slice());
        assert_eq!(got, (dtype, shape), "{name}");
        types::wide(dtype, bytes)
    }

    fn num_batches_tracked(&self) -> i64 {
        let (dtype, shape, bytes) = &self.0["num_batches_tracked"];
        assert_eq!((*dtype, shape.as_slice()), (Dtype::I64, &[1][..]));
        i64::from_le_bytes(bytes.as_slice().try_into().unwrap())
    }
}

/// What one run of the example did.
struct Ran {
    code: i32,
    stderr: String,
    /// What it wrote.
    output: Option<Vec<u8>>,
}

impl Ran {
    /// Whether there is no adapter to run on, which is loud, and a failure where one is required.
    fn skipped(&self) -> bool {
        if self.code != 3 {
            return false;
        }
        let required = std::env::var("WGNORM_REQUIRE_GPU").is_ok_and(|value| value == "1");
        assert!(!required, "WGNORM_REQUIRE_GPU=1, but {}", self.stderr);
        eprintln!("SKIPPED, nothing was tested: {}", self.stderr);
        true
    }

    /// It was refused in one line that says `what`, and nothing was written.
    fn assert_refused(&self, what: &str) {
        assert_eq!(self.code, 2, "{what}: {}", self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "{what}: {}", self.stderr);
        assert!(self.stderr.contains(what), "{what}: {}", self.stderr);
        assert!(self.output.is_none(), "{what}: something was written");
    }
}

/// Runs the example on a file with these bytes.
fn replay(case: &[u8]) -> Ran {
    replay_where(case, &[])
}

/// Runs the example on a file with these bytes where it finds no adapter, so that only what needs none
/// can be said about the file.
fn replay_without_adapter(case: &[u8]) -> Ran {
    replay_where(case, &[("WGPU_BACKEND", "noop")])
}

fn replay_where(case: &[u8], environment: &[(&str, &str)]) -> Ran {
    let folder = scratch();
    let (input, output) = (folder.join("case"), folder.join("out"));
    std::fs::write(&input, case).unwrap();
    let mut command = Command::new(example());
    command
        .args([&input, &output])
        .envs(environment.iter().copied());
    let ran = run(&mut command, &output);
    let left: Vec<PathBuf> = files(&folder);
    assert!(
        left.iter().all(|path| *path == input || *path == output),
        "files left behind: {left:?}"
    );
    std::fs::remove_dir_all(&folder).unwrap();
    ran
}

/// Runs the example with these arguments; what it then finds at `output` is what it wrote.
fn replay_files(arguments: &[&Path], output: &Path) -> Ran {
    run(Command::new(example()).args(arguments), output)
}

fn run(command: &mut Command, output: &Path) -> Ran {
    let ran = command.output().unwrap();
    Ran {
        // A process that was killed by a signal has no code.
        code: ran.status.code().unwrap_or(-1),
        stderr: String::from_utf8_lossy(&ran.stderr).into_owned(),
        output: std::fs::read(output).ok(),
    }
}

/// The example beside the folder of this test: cargo names no variable for it.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let products = test.ancestors().nth(2).unwrap();
    let example = products.join(format!("examples/replay{}", std::env::consts::EXE_SUFFIX));
    let hint = "cargo build --example replay makes it, and cargo test without --test does too";
    assert!(example.exists(), "no {}: {hint}", example.display());
    example
}

/// A new folder that no other test uses.
fn scratch() -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("replay-{}-{number}", std::process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Standard normal numbers that every run and every machine draws alike.
fn normals(seed: u64, len: usize) -> Vec<f32> {
    StandardNormal
        .sample_iter(Pcg64::seed_from_u64(seed))
        .take(len)
        .collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// The Euclidean norm.
fn norm(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}

/// The difference of `got` from `expected` as a multiple of `scale`.
fn distance(got: &[f32], expected: &[f64], scale: f64) -> f64 {
    assert_eq!(got.len(), expected.len());
    let differences = wide(got).into_iter().zip(expected).map(|(g, e)| g - e);
    norm(&differences.collect::<Vec<_>>()) / scale
}
