//! A case as a file that the example `replay` runs, and with it any other implementation.

use std::collections::HashMap;
use std::fmt::Display;
use std::fs;
use std::path::PathBuf;

use safetensors::tensor::{Dtype, TensorView};
use wgnorm::{DType, Mode, Momentum, RunningVariance, Statistics};

use crate::draw::Drawn;
use crate::family_case::{Case, Inputs, Norm};
use crate::spectral_case;
use crate::stored::encode;

/// A tensor of the file.
struct Entry {
    name: &'static str,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// What the file says of an operation.
#[derive(Default)]
struct File {
    metadata: HashMap<String, String>,
    entries: Vec<Entry>,
}

/// Writes the inputs of a case under target/reliability and gives the path from the crate's folder.
pub(crate) fn write(drawn: &Drawn, seed: u64) -> Result<String, String> {
    let file = match drawn {
        Drawn::Norm(case) => of_norm(case),
        Drawn::Spectral(case) => of_spectral(case),
    };
    let name = format!("target/reliability/case-{seed}.safetensors");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(&name);
    let folder = path.parent().expect("a file lies in a folder");
    let views = file.entries.iter().map(|entry| {
        let view = TensorView::new(entry.dtype, entry.shape.clone(), &entry.bytes);
        (entry.name, view.expect("bytes for every element"))
    });
    let bytes = safetensors::serialize(views, Some(file.metadata)).map_err(|e| e.to_string())?;
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, bytes))
        .map_err(|error| error.to_string())?;
    Ok(name)
}

impl File {
    fn say(&mut self, key: &str, value: impl Display) {
        self.metadata.insert(key.to_owned(), value.to_string());
    }

    fn floats(&mut self, name: &'static str, values: &[f32], shape: &[usize]) {
        self.activation(name, values, shape, DType::F32);
    }

    fn activation(&mut self, name: &'static str, values: &[f32], shape: &[usize], dtype: DType) {
        let (file_type, size) = match dtype {
            DType::F16 => (Dtype::F16, 2),
            DType::Bf16 => (Dtype::BF16, 2),
            _ => (Dtype::F32, 4),
        };
        let words = encode(values, dtype);
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.truncate(size * values.len());
        self.entries.push(Entry {
            name,
            dtype: file_type,
            shape: shape.to_vec(),
            bytes,
        });
    }

    fn averages(&mut self, momentum: Momentum, variance: RunningVariance, mode: Mode) {
        self.say("mode", if mode.update_running { "train" } else { "eval" });
        let statistics = match mode.statistics {
            Statistics::Batch => "batch",
            Statistics::Running => "running",
        };
        self.say("statistics", statistics);
        match momentum {
            Momentum::NewWeight(weight) => self.say("momentum", weight),
            Momentum::OldWeight(weight) => self.say("momentum", 1.0 - weight),
            Momentum::Cumulative => self.say("momentum", "cumulative"),
        }
        let variance = match variance {
            RunningVariance::Unbiased => "unbiased",
            RunningVariance::Biased => "biased",
        };
        self.say("running_var", variance);
        self.say("num_batches_tracked", 3);
    }
}

fn of_norm(case: &Case) -> File {
    let inputs = case.inputs();
    let mut file = File::default();
    let dims = case.shape.dims();
    if let Norm::Weight(options) = &case.norm {
        file.say("op", "weight_norm");
        file.say("dim", options.dim);
        let ones = vec![1.0; inputs.gamma.len()];
        let g = if case.gamma { &inputs.gamma } else { &ones };
        // Files of weights have no other type.
        file.floats("v", &inputs.x, dims);
        file.floats("g", g, &[g.len()]);
        file.floats("dw", &inputs.dy, dims);
        return file;
    }
    let normalized = options_of(case, &mut file);
    if case.has_relu() {
        file.say("activation", "relu");
    }
    tensors_of(case, &inputs, &normalized, &mut file);
    file
}

/// Says which norm it is and with which options, and gives the shape of gamma and beta.
fn options_of(case: &Case, file: &mut File) -> Vec<usize> {
    let dims = case.shape.dims();
    let (op, eps, normalized) = match &case.norm {
        Norm::Layer(o) => ("layer_norm", o.eps, Some(o.normalized_dims)),
        Norm::Rms(o) => ("rms_norm", o.eps, Some(o.normalized_dims)),
        Norm::Group(o) => ("group_norm", o.eps, None),
        Norm::Instance(o) => ("instance_norm", o.eps, None),
        Norm::Batch(o) => ("batch_norm", o.eps, None),
        Norm::Renorm(o) => ("batch_renorm", o.eps, None),
        Norm::Weight(_) => unreachable!("a weight has a file of its own"),
    };
    file.say("op", op);
    file.say("eps", eps);
    if let Some(normalized) = normalized {
        file.say("normalized_dims", normalized);
        return dims[dims.len() - normalized..].to_vec();
    }
    let mode = case.mode;
    let axis = match &case.norm {
        Norm::Group(o) => {
            file.say("num_groups", o.groups);
            o.channel_axis
        }
        Norm::Instance(o) => {
            file.averages(o.momentum, o.running_variance, mode);
            o.channel_axis
        }
        Norm::Batch(o) => {
            file.averages(o.momentum, o.running_variance, mode);
            o.channel_axis
        }
        Norm::Renorm(o) => {
            file.averages(o.momentum, o.running_variance, mode);
            file.say("r_max", o.r_max);
            file.say("d_max", o.d_max);
            o.channel_axis
        }
        _ => unreachable!("the others have rows"),
    };
    file.say("channel_axis", axis);
    vec![dims[axis]]
}

fn tensors_of(case: &Case, inputs: &Inputs, parameters: &[usize], file: &mut File) {
    let dims = case.shape.dims();
    file.activation("x", &inputs.x, dims, case.dtype);
    file.activation("dy", &inputs.dy, dims, case.dtype);
    if case.residual {
        file.activation("residual", &inputs.residual, dims, case.dtype);
    }
    let vectors = [
        ("weight", &inputs.gamma, case.gamma),
        ("bias", &inputs.beta, case.beta),
        ("running_mean", &inputs.running_mean, true),
        ("running_var", &inputs.running_var, true),
    ];
    for (name, values, is_there) in vectors {
        if is_there && !values.is_empty() {
            file.floats(name, values, parameters);
        }
    }
    if let (Norm::Batch(options), Some(_)) = (&case.norm, case.mask) {
        let mut shape = dims.to_vec();
        shape.remove(options.channel_axis);
        file.entries.push(Entry {
            name: "mask",
            dtype: Dtype::U8,
            shape,
            bytes: inputs
                .mask
                .iter()
                .map(|&valid| u8::from(valid != 0))
                .collect(),
        });
    }
}

fn of_spectral(case: &spectral_case::Case) -> File {
    let inputs = case.inputs();
    let mut file = File::default();
    file.say("op", "spectral_norm");
    file.say("dim", case.options.dim);
    file.say("power_iterations", case.iterations);
    file.say("eps", case.options.eps);
    let dims = case.shape.dims();
    file.floats("weight", &inputs.weight, dims);
    file.floats("u", &inputs.u, &[inputs.u.len()]);
    file.floats("dw", &inputs.dw, dims);
    file
}
