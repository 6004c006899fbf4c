//! The oracle against what `PyTorch` computed in float64: the files in `tests/golden`.

use std::collections::HashMap;
use std::path::Path;

use safetensors::SafeTensors;
use wgnorm::Shape;
use wgnorm::reference::{self, BatchNorm, Gradients};

use crate::assert_close;

/// A golden file; `tests/golden/make_golden.py` says what is in it.
struct Golden {
    name: String,
    shape: Shape,
    case: HashMap<String, String>,
    tensors: HashMap<String, Vec<f64>>,
}

impl Golden {
    fn all() -> Vec<Self> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
        let mut cases = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "safetensors") {
                cases.push(Self::read(&path));
            }
        }
        cases
    }

    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let words = header.metadata().as_ref().unwrap()["case"].split(' ');
        let case = words.map(|word| word.split_once('=').unwrap());
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let values = |bytes: &[u8]| -> Vec<f64> {
            bytes
                .chunks_exact(8)
                .map(|b| f64::from_le_bytes(b.try_into().unwrap()))
                .collect()
        };
        Self {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            shape: Shape::from(file.tensor("0.x").unwrap().shape()),
            case: case
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
            tensors: file
                .tensors()
                .iter()
                .map(|(k, t)| (k.clone(), values(t.data())))
                .collect(),
        }
    }

    fn get(&self, name: &str) -> Option<&[f64]> {
        self.tensors.get(name).map(Vec::as_slice)
    }

    fn layer(&self) -> BatchNorm<'_> {
        BatchNorm {
            shape: &self.shape,
            axis: self.case["axis"].parse().unwrap(),
            gamma: self.get("gamma"),
            beta: self.get("beta"),
            eps: self.case["eps"].parse().unwrap(),
        }
    }

    /// The batches in a row that the layer saw.
    fn batches(&self) -> impl Iterator<Item = usize> {
        (0..).take_while(|batch| self.get(&format!("{batch}.x")).is_some())
    }

    fn expect(&self, batch: usize, name: &str, got: &[f64]) {
        let name = format!("{batch}.{name}");
        let message = format!("{}: {name}", self.name);
        assert_close(&message, got, &self.tensors[&name], 1e-12);
    }

    /// `PyTorch` has a gradient only for the parameters that the layer has.
    fn expect_gradients(&self, batch: usize, got: &Gradients) {
        self.expect(batch, "dx", &got.dx);
        if self.get("gamma").is_some() {
            self.expect(batch, "dgamma", &got.dgamma);
        }
        if self.get("beta").is_some() {
            self.expect(batch, "dbeta", &got.dbeta);
        }
    }

    fn check_training(&self) {
        let layer = self.layer();
        let mut running_mean = self.get("running_mean").map(<[f64]>::to_vec);
        let mut running_var = self.get("running_var").map(<[f64]>::to_vec);
        for batch in self.batches() {
            let x = &self.tensors[&format!("{batch}.x")];
            let forward = layer.forward(x);
            self.expect(batch, "y", &forward.y);
            self.expect(batch, "mean", &forward.mean);
            self.expect(batch, "rstd", &forward.rstd);
            let gradients = layer.backward(x, &self.tensors[&format!("{batch}.dy")]);
            self.expect_gradients(batch, &gradients);
            let weight_of_new = match self.case["momentum"].as_str() {
                "cumulative" => 1.0 / (batch + 1) as f64,
                number => number.parse().unwrap(),
            };
            let n = reference::moments(x, &self.shape, layer.axis).n;
            if let (Some(mean), Some(var)) = (&mut running_mean, &mut running_var) {
                reference::update_running(mean, &forward.mean, weight_of_new);
                self.expect(batch, "running_mean", mean);
                let batch_var = reference::unbiased(&forward.var, n);
                reference::update_running(var, &batch_var, weight_of_new);
                self.expect(batch, "running_var", var);
            }
        }
    }

    fn check_evaluation(&self) {
        let layer = self.layer();
        let (mean, var) = (&self.tensors["running_mean"], &self.tensors["running_var"]);
        for batch in self.batches() {
            let x = &self.tensors[&format!("{batch}.x")];
            let dy = &self.tensors[&format!("{batch}.dy")];
            self.expect(batch, "y", &layer.normalize(x, mean, var));
            self.expect_gradients(batch, &layer.backward_frozen(x, dy, mean, var));
        }
    }
}

#[test]
fn training_matches_pytorch() {
    let mut cases = Golden::all();
    cases.retain(|golden| golden.case["mode"] == "train");
    assert_eq!(cases.len(), 11, "golden files for training");
    for golden in cases {
        golden.check_training();
    }
}

#[test]
fn evaluation_matches_pytorch() {
    let mut cases = Golden::all();
    cases.retain(|golden| golden.case["mode"] == "eval");
    assert_eq!(cases.len(), 3, "golden files for evaluation");
    for golden in cases {
        golden.check_evaluation();
    }
}
