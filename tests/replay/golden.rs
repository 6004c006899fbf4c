//! The example against what `PyTorch` computed in float64: the files in `tests/golden`, whose
//! generator says what is in them.

use std::collections::HashMap;
use std::path::Path;

use safetensors::SafeTensors;
use wgnorm::Shape;
use wgnorm::reference::BatchNorm;

use crate::{Request, Results, distance, norm};

/// A golden file, a layer that saw one batch or several.
struct Golden {
    name: String,
    shape: Vec<usize>,
    case: HashMap<String, String>,
    tensors: HashMap<String, Vec<f64>>,
}

impl Golden {
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let words = header.metadata().as_ref().unwrap()["case"].split(' ');
        let case = words.map(|word| word.split_once('=').unwrap());
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let values = |data: &[u8]| -> Vec<f64> {
            let each = data.chunks_exact(8);
            each.map(|b| f64::from_le_bytes(b.try_into().unwrap()))
                .collect()
        };
        let tensors = file.iter().map(|(k, t)| (k.to_owned(), values(t.data())));
        Self {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            shape: file.tensor("0.x").unwrap().shape().to_vec(),
            case: case.map(|(k, v)| (k.into(), v.into())).collect(),
            tensors: tensors.collect(),
        }
    }

    /// One batch as a request, with the running statistics that the batch before it left.
    fn request(&self, batch: usize) -> Request {
        let tracked = batch.to_string();
        let mut request = Request::new(
            &[
                ("mode", &self.case["mode"]),
                ("channel_axis", &self.case["axis"]),
                ("eps", &self.case["eps"]),
                ("momentum", &self.case["momentum"]),
                ("num_batches_tracked", &tracked),
            ],
            &self.shape,
            &narrow(&self.tensors[&format!("{batch}.x")]),
        );
        let before = match batch {
            0 => String::new(),
            _ => format!("{}.", batch - 1),
        };
        for (name, source) in [
            ("dy", format!("{batch}.dy")),
            ("weight", "gamma".into()),
            ("bias", "beta".into()),
            ("running_mean", format!("{before}running_mean")),
            ("running_var", format!("{before}running_var")),
        ] {
            if let Some(values) = self.tensors.get(&source) {
                let shape = if name == "dy" {
                    &self.shape
                } else {
                    &vec![values.len()]
                };
                request = request.f32(name, shape, &narrow(values));
            }
        }
        request
    }

    fn check(&self, batch: usize, results: &Results) {
        let train = self.case["mode"] == "train";
        let get = |name: &str| self.tensors.get(&format!("{batch}.{name}"));
        // The inputs were rounded to 32 bits, which moves results by more than their own rounding
        // where x is large beside its spread, or where so little is left of dx as over two elements.
        let x = get("x").unwrap();
        let rounding = 1e-6 * (1.0 + norm(x) / (x.len() as f64).sqrt() / 20.0);
        for (ours, theirs) in [
            ("y", "y"),
            ("mean", "mean"),
            ("rstd", "rstd"),
            ("running_mean", "running_mean"),
            ("running_var", "running_var"),
            ("dx", "dx"),
            ("dweight", "dgamma"),
            ("dbias", "dbeta"),
        ] {
            let in_training = ["mean", "rstd", "running_mean", "running_var"].contains(&ours);
            let Some(expected) = get(theirs).filter(|_| train || !in_training) else {
                continue;
            };
            let alike = ours == "y" || ours == "dx";
            let shape = if alike {
                &self.shape
            } else {
                &vec![expected.len()]
            };
            let scale = if ours == "dx" {
                self.dx_terms(batch)
            } else {
                norm(expected)
            };
            let error = distance(&results.f32(ours, shape), expected, scale);
            assert!(
                error <= rounding,
                "{}, batch {batch}: {ours} is off by {error:e}, allowed are {rounding:e}",
                self.name
            );
        }
    }

    /// The size of `dy * gamma * rstd`, of which dx is what is left.
    fn dx_terms(&self, batch: usize) -> f64 {
        let get = |name: &str| self.tensors[&format!("{batch}.{name}")].as_slice();
        let shape = Shape::from(self.shape.as_slice());
        let layer = BatchNorm {
            shape: &shape,
            axis: self.case["axis"].parse().unwrap(),
            gamma: self.tensors.get("gamma").map(Vec::as_slice),
            beta: None,
            eps: self.case["eps"].parse().unwrap(),
        };
        if self.case["mode"] == "eval" {
            return norm(get("dx"));
        }
        let batch = layer.forward(get("x"));
        let dx = layer.backward_frozen(get("x"), get("dy"), &batch.mean, &batch.var);
        norm(&dx.dx)
    }
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

#[test]
fn results_are_those_of_pytorch() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let mut batches = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "safetensors") {
            continue;
        }
        let golden = Golden::read(&path);
        let seen = (0..).take_while(|batch| golden.tensors.contains_key(&format!("{batch}.x")));
        for batch in seen {
            let Some(results) = golden.request(batch).results() else {
                return;
            };
            golden.check(batch, &results);
            batches += 1;
        }
    }
    assert!(batches >= 14, "only {batches} golden batches");
}
