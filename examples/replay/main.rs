//! Runs one operation from a file, so that a program in any language can compare results:
//!
//! `cargo run --release --example replay -- CASE.safetensors OUT.safetensors`
//!
//! CASE holds the input tensors and, as string metadata, the operation and its options; OUT gets
//! the results. Keys and tensors that an operation does not know are refused.
//!
//! | `op` | its own metadata | tensors |
//! |---|---|---|
//! | `batch_norm` | `channel_axis`, `eps`, averages, `activation` | `x`, `running_mean`, `running_var`, `mask` |
//! | `batch_renorm` | the same and `r_max`, `d_max` | `x`, `running_mean`, `running_var`, all required |
//! | `instance_norm` | that of `batch_norm` | `x`, `running_mean`, `running_var` |
//! | `group_norm` | `num_groups`, `channel_axis`, `eps`, `activation` | `x` |
//! | `layer_norm`, `rms_norm` | `normalized_dims`, `eps`, `activation` | `x` |
//! | `weight_norm` | `dim` | `v`, `g`, `dw` |
//! | `spectral_norm` | `dim`, `power_iterations`, `eps` | `weight`, `u`, `dw` |
//!
//! | metadata | default | values |
//! |---|---|---|
//! | `mode` | `train` | `train`, `eval`; the same for norms that have no running statistics |
//! | `channel_axis` | `1` | any dimension of x, from 0; only batch norm and renorm take 0 |
//! | `normalized_dims` | `1` | how many of the last dimensions of x make a row |
//! | `num_groups` | | a divisor of the number of channels |
//! | `dim` | `0` | the dimension of the weight whose every index has an element of g or u |
//! | `power_iterations` | `1` | how often training moves u, 0 to 10000; evaluation never does |
//! | `eps` | `1e-5`, RMS norm f32's epsilon, spectral norm `1e-12` | above 0 |
//! | `r_max`, `d_max` | | at least 1 and 0: how far batch renorm corrects |
//! | `activation` | `none` | `none`, `relu`: what follows the norm and its residual |
//! | averages: | | |
//! | `statistics` | `batch` in train, `running` in eval | `batch`, `running`: what normalizes |
//! | `momentum` | `0.1` | the weight of the new batch, 0 to 1, or `cumulative` |
//! | `running_var` | `unbiased` | `unbiased`, `biased`: which variance moves the running one |
//! | `num_batches_tracked` | `0` | batches before this one |
//!
//! Norms of `x` take an optional `weight` and `bias`, with an element for each channel, or in the
//! normalized shape for layer and RMS norm, an optional `residual`, which is added before the
//! activation, and an optional `dy`. They give `y`, with `dy` also `dx`, and `dweight`, `dbias` and
//! `dresidual` where `weight`, `bias` and `residual` were given. `x`, `residual` and `dy` have one
//! shape and one type, F32, F16 or BF16, which is also that of `y`, `dx` and `dresidual`; all else is
//! F32. Batch norm takes a `mask` (U8, the shape of `x` without the channel axis, 0 where `x` is
//! not valid): what is not valid may be NaN and becomes 0. In training batch norm and renorm
//! add `mean` and `rstd`, the statistics that normalized; they and an instance norm with running
//! statistics add `num_batches_tracked` (I64), and the new `running_mean` and `running_var` where
//! they were given. An x without elements moves nothing, counts as no batch, and has 0 for `mean` and
//! `rstd`. Weight norm gives `w`, with `dw` also `dv` and `dg`. Spectral norm gives `w`, `u` and
//! `sigma`, with `dw` also `dweight`; its v is made of u.
//!
//! Exit code 0: OUT is written. 2: the file or the request is wrong. 3: no adapter to run on. The
//! last two leave OUT as it was and print one line to stderr.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use file::Input;
use wgnorm::Device;

mod elements;
mod file;
mod keys;
mod mask;
mod ops;
mod running;
mod step;
mod tensors;

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
    let operation = ops::parse(Input::new(&bytes)?)?;
    let device = Device::new().map_err(|error| Failure::NoAdapter(error.to_string()))?;
    let outputs = operation.run(&device).map_err(|error| error.to_string())?;
    Ok(file::write(Path::new(output), &outputs)?)
}
