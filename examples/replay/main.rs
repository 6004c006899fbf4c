//! Runs one operation from a file, so that a program in any language can compare results:
//!
//! `cargo run --release --example replay -- CASE.safetensors OUT.safetensors`
//!
//! CASE holds the input tensors and, as string metadata, the operation and its options; OUT gets
//! the results. So far `op` can be `batch_norm`, in F32:
//!
//! | metadata | default | values |
//! |---|---|---|
//! | `op` | | `batch_norm` |
//! | `mode` | `train` | `train`, `eval` |
//! | `statistics` | `batch` in train, `running` in eval | `batch`, `running`: what normalizes |
//! | `channel_axis` | `1` | any dimension of x, from 0 |
//! | `eps` | `1e-5` | above 0 |
//! | `momentum` | `0.1` | the weight of the new batch, 0 to 1, or `cumulative` |
//! | `running_var` | `unbiased` | `unbiased`, `biased`: which variance moves the running one |
//! | `num_batches_tracked` | `0` | batches before this one |
//! | `activation` | `none` | `none` |
//!
//! Inputs are `x`, optional `weight` and `bias`, optional `running_mean` with `running_var`, and
//! optional `dy`. Outputs are `y`; in training `mean` and `rstd`, the statistics that normalized,
//! `num_batches_tracked` (I64), and the new `running_mean` and `running_var` where they were given;
//! with `dy` also `dx`, and `dweight` and `dbias` where `weight` and `bias` were given. An x without
//! elements moves nothing, counts as no batch, and has 0 for `mean` and `rstd`.
//!
//! Exit code 0: OUT is written. 2: the file or the request is wrong. 3: no adapter to run on. The
//! last two leave OUT as it was and print one line to stderr.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use case::Case;
use file::Input;
use wgnorm::Device;

mod batch_norm;
mod case;
mod file;

/// Why there is no result.
enum Failure {
    /// The file or the request is at fault.
    Refused(String),
    /// The machine is: it has no adapter.
    NoAdapter(String),
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self::Refused(message)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let (code, message) = match replay(&arguments) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Refused(message)) => (2, message),
        Err(Failure::NoAdapter(message)) => (3, message),
    };
    // Messages of libraries may have several lines.
    let words: Vec<&str> = message.split_whitespace().collect();
    // A closed stderr takes nothing, and the exit code has to do.
    drop(writeln!(std::io::stderr(), "replay: {}", words.join(" ")));
    ExitCode::from(code)
}

fn replay(arguments: &[OsString]) -> Result<(), Failure> {
    let [input, output] = arguments else {
        let message = "expected two arguments, CASE.safetensors and OUT.safetensors";
        return Err(Failure::Refused(message.into()));
    };
    // All that can be said about the file is said before the device is opened: drivers may write
    // to stderr themselves, and a wrong file is wrong on a machine without an adapter too.
    let bytes = file::read(Path::new(input))?;
    let case = Case::parse(Input::new(&bytes)?)?;
    let device = Device::new().map_err(|error| Failure::NoAdapter(error.to_string()))?;
    let outputs = batch_norm::run(&case, &device).map_err(|error| error.to_string())?;
    Ok(file::write(Path::new(output), &outputs)?)
}
