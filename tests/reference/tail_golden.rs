//! Tails, 16-bit inputs and masks against what `PyTorch` computed in float64: the files in
//! `tests/golden/tails`, `half` and `masks`, whose generator says what is in them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use wgnorm::Shape;
use wgnorm::reference::{
    self, BatchNorm, Gradients, GroupNorm, InstanceNorm, LayerNorm, MaskedBatchNorm, Moments, Tail,
};

use crate::assert_close;

/// A case and the results that it should have.
struct Golden {
    name: String,
    metadata: HashMap<String, String>,
    /// The shape of x.
    shape: Shape,
    inputs: HashMap<String, Vec<f64>>,
    mask: Option<Vec<bool>>,
    expected: HashMap<String, Vec<f64>>,
}

/// Makes the gradients of what the norm's backward takes for dy.
type Backward<'a> = dyn Fn(&[f64]) -> Gradients + 'a;

/// What the oracle says of a case before its tail, and what goes back through its norm.
struct Normed<'a> {
    y: Vec<f64>,
    /// The statistics of a training step of batch norm, with rstd.
    batch: Option<(Moments, Vec<f64>)>,
    backward: Box<Backward<'a>>,
}

impl Golden {
    /// The cases of a folder, of which there are `count`.
    fn all(folder: &str, count: usize) -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{folder}"));
        let entries = std::fs::read_dir(&folder).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.is_file());
        assert_eq!(paths.len(), count, "golden files in {}", folder.display());
        paths.iter().map(|path| Self::read(path)).collect()
    }

    fn read(path: &Path) -> Self {
        let expected = path.with_file_name("expected");
        let expected = std::fs::read(expected.join(path.file_name().unwrap())).unwrap();
        let bytes = std::fs::read(path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let mask = file.tensor("mask").ok();
        Self {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            metadata: header.metadata().clone().unwrap(),
            shape: Shape::from(file.tensor("x").unwrap().shape()),
            mask: mask.map(|mask| mask.data().iter().map(|&byte| byte != 0).collect()),
            inputs: tensors(&file),
            expected: tensors(&SafeTensors::deserialize(&expected).unwrap()),
        }
    }

    /// An option, or its default where the case does not name it.
    fn option<T: FromStr<Err: std::fmt::Debug>>(&self, key: &str, default: T) -> T {
        let written = self.metadata.get(key);
        written.map_or(default, |value| value.parse().unwrap())
    }

    fn optional(&self, name: &str) -> Option<&[f64]> {
        self.inputs.get(name).map(Vec::as_slice)
    }

    fn axis(&self) -> usize {
        self.option("channel_axis", 1)
    }

    fn tail(&self) -> Tail<'_> {
        Tail {
            residual: self.optional("residual"),
            relu: self.option("activation", String::new()) == "relu",
        }
    }

    /// Batch norm with a mask, which is whole where the case has none.
    fn batch_norm<'a>(&'a self, mask: &'a [bool]) -> Normed<'a> {
        let layer = BatchNorm {
            shape: &self.shape,
            axis: self.axis(),
            gamma: self.optional("weight"),
            beta: self.optional("bias"),
            eps: self.option("eps", 1e-5),
        };
        let layer = MaskedBatchNorm { layer, mask };
        let x = &self.inputs["x"];
        if self.option("mode", String::new()) == "eval" {
            let (mean, var) = (&self.inputs["running_mean"], &self.inputs["running_var"]);
            return Normed {
                y: layer.normalize(x, mean, var),
                batch: None,
                backward: Box::new(move |dy| layer.backward_frozen(x, dy, mean, var)),
            };
        }
        let forward = layer.forward(x);
        Normed {
            y: forward.y,
            batch: Some((layer.moments(x), forward.rstd)),
            backward: Box::new(move |dy| layer.backward(x, dy)),
        }
    }

    fn normed<'a>(&'a self, mask: &'a [bool]) -> Normed<'a> {
        let (shape, axis) = (&self.shape, self.axis());
        let (gamma, beta) = (self.optional("weight"), self.optional("bias"));
        let (x, eps) = (&self.inputs["x"], self.option("eps", 1e-5));
        macro_rules! normed {
            ($layer:expr) => {{
                let layer = $layer;
                Normed {
                    y: layer.forward(x).y,
                    batch: None,
                    backward: Box::new(move |dy| layer.backward(x, dy)),
                }
            }};
        }
        #[rustfmt::skip]
        let normed = match self.metadata["op"].as_str() {
            "layer_norm" => normed!(LayerNorm { shape, normalized_dims: 1, gamma, beta, eps }),
            "group_norm" => {
                let groups = self.option("num_groups", 0);
                normed!(GroupNorm { shape, axis, groups, gamma, beta, eps })
            }
            "instance_norm" => normed!(InstanceNorm { shape, axis, gamma, beta, eps }),
            _ => self.batch_norm(mask),
        };
        normed
    }

    /// All that the example would write, by name.
    fn results(&self) -> HashMap<&'static str, Vec<f64>> {
        let places = self.shape.numel() / self.shape.dims()[self.axis()];
        let mask = self.mask.clone().unwrap_or_else(|| vec![true; places]);
        // Whatever the norm, this sets what is masked to 0.
        let clear = |values: &[f64]| {
            let layer = BatchNorm {
                shape: &self.shape,
                axis: self.axis(),
                gamma: None,
                beta: None,
                eps: 1.0,
            };
            MaskedBatchNorm { layer, mask: &mask }.clear(values)
        };
        let normed = self.normed(&mask);
        let y = clear(&self.tail().apply(&normed.y));
        let dresidual = clear(&self.tail().gate(&y, &self.inputs["dy"]));
        let Gradients { dx, dgamma, dbeta } = (normed.backward)(&dresidual);
        let mut results = HashMap::from([("y", y), ("dx", dx)]);
        for (input, name, values) in [
            ("weight", "dweight", dgamma),
            ("bias", "dbias", dbeta),
            ("residual", "dresidual", dresidual),
        ] {
            if self.inputs.contains_key(input) {
                results.insert(name, values);
            }
        }
        if let Some((batch, rstd)) = normed.batch {
            results.extend(self.moved(&batch));
            results.extend([("mean", batch.mean), ("rstd", rstd)]);
            results.insert("num_batches_tracked", vec![1.0]);
        }
        results
    }

    /// The running statistics after the step, where there are any.
    fn moved(&self, batch: &Moments) -> Vec<(&'static str, Vec<f64>)> {
        let unbiased = reference::unbiased(&batch.var, batch.n);
        let mut moved = Vec::new();
        for (name, batch) in [("running_mean", &batch.mean), ("running_var", &unbiased)] {
            if let Some(before) = self.optional(name) {
                let mut running = before.to_vec();
                reference::update_running(&mut running, batch, self.option("momentum", 0.1));
                moved.push((name, running));
            }
        }
        moved
    }

    fn check(&self) {
        let results = self.results();
        for (name, got) in &results {
            let message = format!("{}: {name}", self.name);
            assert!(self.expected.contains_key(*name), "{message} is missing");
            assert_close(&message, got, &self.expected[*name], 1e-12);
        }
        assert_eq!(results.len(), self.expected.len(), "{}", self.name);
    }
}

fn tensors(file: &SafeTensors<'_>) -> HashMap<String, Vec<f64>> {
    let tensors = file.iter();
    let wide = tensors.map(|(name, view)| (name.to_owned(), wide(&view)));
    wide.collect()
}

/// The values of a tensor of any type in these files; float64 holds all of them.
fn wide(view: &TensorView<'_>) -> Vec<f64> {
    let data = view.data();
    macro_rules! wide {
        ($bytes:literal, $read:expr) => {{
            let each = data.chunks_exact($bytes);
            each.map(|b| $read(b.try_into().unwrap())).collect()
        }};
    }
    match view.dtype() {
        Dtype::F64 => wide!(8, f64::from_le_bytes),
        Dtype::F32 => wide!(4, |b| f64::from(f32::from_le_bytes(b))),
        Dtype::F16 => wide!(2, |b| f16::from_le_bytes(b).to_f64()),
        Dtype::BF16 => wide!(2, |b| bf16::from_le_bytes(b).to_f64()),
        Dtype::I64 => wide!(8, |b| i64::from_le_bytes(b) as f64),
        Dtype::U8 => data.iter().map(|&byte| byte.into()).collect(),
        other => panic!("{other} in a golden file"),
    }
}

#[test]
fn tails_match_pytorch() {
    let cases = Golden::all("tails", 9);
    cases.iter().for_each(Golden::check);
}

#[test]
fn norms_of_16_bits_match_pytorch() {
    let cases = Golden::all("half", 7);
    cases.iter().for_each(Golden::check);
}

#[test]
fn masked_batches_match_pytorch() {
    let cases = Golden::all("masks", 4);
    for golden in cases {
        let x = &golden.inputs["x"];
        assert!(x.iter().any(|x| x.is_nan()), "{}", golden.name);
        golden.check();
    }
}
