//! The other norms against what `PyTorch` computed in float64: the files in `tests/golden/family`.

use std::collections::HashMap;
use std::path::Path;
use std::str::FromStr;

use safetensors::SafeTensors;
use wgnorm::Shape;
use wgnorm::reference::{
    self, BatchNorm, BatchRenorm, Forward, Gradients, GroupNorm, InstanceNorm, LayerNorm, RmsNorm,
    SpectralNorm, WeightNorm,
};

use crate::assert_close;

/// A golden file; `tests/golden/make_family.py` says what is in it.
struct Golden {
    name: String,
    case: HashMap<String, String>,
    /// The shape of what the operation works on: x, v or weight.
    shape: Shape,
    tensors: HashMap<String, Vec<f64>>,
}

impl Golden {
    /// The files of one operation, of which there are `count`.
    fn all(op: &str, count: usize) -> Vec<Self> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/family");
        let mut cases = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "safetensors") {
                cases.push(Self::read(&path));
            }
        }
        cases.retain(|golden| golden.case["op"] == op);
        assert_eq!(cases.len(), count, "golden files of {op}");
        cases
    }

    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let words = header.metadata().as_ref().unwrap()["case"].split(' ');
        let case = words.map(|word| word.split_once('=').unwrap());
        let case: HashMap<String, String> = case.map(|(k, v)| (k.into(), v.into())).collect();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let values = |bytes: &[u8]| -> Vec<f64> {
            bytes
                .chunks_exact(8)
                .map(|b| f64::from_le_bytes(b.try_into().unwrap()))
                .collect()
        };
        let works_on = match case["op"].as_str() {
            "weight_norm" => "v",
            "spectral_norm" => "weight",
            _ => "x",
        };
        Self {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            shape: Shape::from(file.tensor(works_on).unwrap().shape()),
            case,
            tensors: file
                .tensors()
                .iter()
                .map(|(k, t)| (k.clone(), values(t.data())))
                .collect(),
        }
    }

    /// An option, or its default where the case does not name it.
    fn option<T: FromStr<Err: std::fmt::Debug>>(&self, key: &str, default: T) -> T {
        let written = self.case.get(key);
        written.map_or(default, |value| value.parse().unwrap())
    }

    fn eps(&self) -> f64 {
        self.case["eps"].parse().unwrap()
    }

    fn input(&self, name: &str) -> &[f64] {
        &self.tensors[name]
    }

    fn optional(&self, name: &str) -> Option<&[f64]> {
        self.tensors.get(name).map(Vec::as_slice)
    }

    fn expect(&self, name: &str, got: &[f64]) {
        let message = format!("{}: {name}", self.name);
        assert_close(&message, got, &self.tensors[&format!("out.{name}")], 1e-12);
    }

    /// `PyTorch` tells the statistics of some norms, and has a gradient only for the parameters
    /// that the layer has.
    fn expect_norm(&self, forward: &Forward, gradients: &Gradients) {
        self.expect("y", &forward.y);
        for (name, got) in [("mean", &forward.mean), ("rstd", &forward.rstd)] {
            if self.optional(&format!("out.{name}")).is_some() {
                self.expect(name, got);
            }
        }
        self.expect_gradients(gradients);
    }

    fn expect_gradients(&self, gradients: &Gradients) {
        self.expect("dx", &gradients.dx);
        if self.optional("weight").is_some() {
            self.expect("dweight", &gradients.dgamma);
        }
        if self.optional("bias").is_some() {
            self.expect("dbias", &gradients.dbeta);
        }
    }

    /// The running statistics after the batch, where the layer has them.
    fn expect_running(&self, mean: &[f64], unbiased_var: &[f64]) {
        for (name, batch) in [("running_mean", mean), ("running_var", unbiased_var)] {
            if let Some(before) = self.optional(name) {
                let mut running = before.to_vec();
                reference::update_running(&mut running, batch, self.option("momentum", 0.1));
                self.expect(name, &running);
            }
        }
    }
}

#[test]
fn layer_norm_matches_pytorch() {
    for golden in Golden::all("layer_norm", 4) {
        let layer = LayerNorm {
            shape: &golden.shape,
            normalized_dims: golden.option("normalized_dims", 1),
            gamma: golden.optional("weight"),
            beta: golden.optional("bias"),
            eps: golden.eps(),
        };
        let (x, dy) = (golden.input("x"), golden.input("dy"));
        golden.expect_norm(&layer.forward(x), &layer.backward(x, dy));
    }
}

#[test]
fn rms_norm_matches_pytorch() {
    for golden in Golden::all("rms_norm", 2) {
        let layer = RmsNorm {
            shape: &golden.shape,
            normalized_dims: golden.option("normalized_dims", 1),
            gamma: golden.optional("weight"),
            beta: None,
            eps: golden.eps(),
        };
        let (x, dy) = (golden.input("x"), golden.input("dy"));
        golden.expect_norm(&layer.forward(x), &layer.backward(x, dy));
    }
}

#[test]
fn group_norm_matches_pytorch() {
    for golden in Golden::all("group_norm", 5) {
        let layer = GroupNorm {
            shape: &golden.shape,
            axis: golden.option("channel_axis", 1),
            groups: golden.case["num_groups"].parse().unwrap(),
            gamma: golden.optional("weight"),
            beta: golden.optional("bias"),
            eps: golden.eps(),
        };
        let (x, dy) = (golden.input("x"), golden.input("dy"));
        golden.expect_norm(&layer.forward(x), &layer.backward(x, dy));
    }
}

#[test]
fn instance_norm_matches_pytorch() {
    for golden in Golden::all("instance_norm", 4) {
        let layer = InstanceNorm {
            shape: &golden.shape,
            axis: golden.option("channel_axis", 1),
            gamma: golden.optional("weight"),
            beta: golden.optional("bias"),
            eps: golden.eps(),
        };
        let (x, dy) = (golden.input("x"), golden.input("dy"));
        if golden.option("mode", String::new()) == "eval" {
            golden.expect_instances_by_running_statistics(layer);
            continue;
        }
        golden.expect_norm(&layer.forward(x), &layer.backward(x, dy));
        let batch = layer.averaged_moments(x);
        golden.expect_running(&batch.mean, &reference::unbiased(&batch.var, batch.n));
    }
}

impl Golden {
    /// The evaluation of an instance norm is that of a batch norm.
    fn expect_instances_by_running_statistics(&self, layer: InstanceNorm) {
        let layer = BatchNorm {
            shape: layer.shape,
            axis: layer.axis,
            gamma: layer.gamma,
            beta: layer.beta,
            eps: layer.eps,
        };
        let (x, dy) = (self.input("x"), self.input("dy"));
        let (mean, var) = (self.input("running_mean"), self.input("running_var"));
        self.expect("y", &layer.normalize(x, mean, var));
        self.expect_gradients(&layer.backward_frozen(x, dy, mean, var));
    }
}

#[test]
fn batch_renorm_matches_autograd() {
    for golden in Golden::all("batch_renorm", 3) {
        let layer = BatchRenorm {
            shape: &golden.shape,
            axis: golden.option("channel_axis", 1),
            gamma: golden.optional("weight"),
            beta: golden.optional("bias"),
            eps: golden.eps(),
            r_max: golden.case["r_max"].parse().unwrap(),
            d_max: golden.case["d_max"].parse().unwrap(),
        };
        let (x, dy) = (golden.input("x"), golden.input("dy"));
        let (mean, var) = (golden.input("running_mean"), golden.input("running_var"));
        let forward = layer.forward(x, mean, var);
        golden.expect("y", &forward.y);
        golden.expect("mean", &forward.mean);
        golden.expect("rstd", &forward.rstd);
        golden.expect_gradients(&layer.backward(x, dy, mean, var));
        let n = reference::moments(x, &golden.shape, layer.axis).n;
        golden.expect_running(&forward.mean, &reference::unbiased(&forward.var, n));
    }
}

#[test]
fn weight_norm_matches_pytorch() {
    for golden in Golden::all("weight_norm", 3) {
        let layer = WeightNorm {
            shape: &golden.shape,
            dim: golden.option("dim", 0),
        };
        let (v, g, dw) = (golden.input("v"), golden.input("g"), golden.input("dw"));
        golden.expect("w", &layer.forward(v, g));
        let gradients = layer.backward(v, g, dw);
        golden.expect("dv", &gradients.dv);
        golden.expect("dg", &gradients.dg);
    }
}

#[test]
fn spectral_norm_matches_pytorch() {
    for golden in Golden::all("spectral_norm", 4) {
        let layer = SpectralNorm {
            shape: &golden.shape,
            dim: golden.option("dim", 0),
            eps: 1e-12,
        };
        let (weight, u) = (golden.input("weight"), golden.input("u"));
        let iterations = match golden.case["mode"].as_str() {
            "eval" => 0,
            _ => golden.case["power_iterations"].parse().unwrap(),
        };
        let found = layer.forward(weight, u, None, iterations);
        golden.expect("w", &found.w);
        golden.expect("u", &found.u);
        golden.expect("v", &found.v);
        golden.expect("sigma", &[found.sigma]);
        let dweight = layer.backward(weight, &found.u, &found.v, golden.input("dw"));
        golden.expect("dweight", &dweight);
    }
}
