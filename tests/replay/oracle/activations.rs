//! The norms of activations, with what may follow them.

use std::collections::BTreeMap;

use safetensors::tensor::Dtype;
use wgnorm::Shape;
use wgnorm::reference::{
    self, BatchNorm, BatchRenorm, Forward, Gradients, GroupNorm, InstanceNorm, LayerNorm,
    MaskedBatchNorm, Moments, RmsNorm, Tail,
};

use super::{AllWanted, Wanted};
use crate::{Request, Results, norm};

/// A forward and backward with the magnitudes of the terms of its sums.
type Judgement = (Forward, Gradients, Gradients);

macro_rules! judge {
    ($oracle:expr, $x:expr, $dy:expr) => {{
        let oracle = $oracle;
        let (forward, gradients) = (oracle.forward($x), oracle.backward($x, $dy));
        (forward, gradients, oracle.magnitudes($x, $dy))
    }};
}

/// The values of a request for a norm of activations.
struct Activations {
    shape: Shape,
    x: Vec<f64>,
    dy: Vec<f64>,
    /// The type of x and of all that is like it.
    dtype: Dtype,
    residual: Option<Vec<f64>>,
    relu: bool,
    /// Which places are valid. Empty where all are and rows are normalized, which know no channels.
    mask: Vec<bool>,
    gamma: Option<Vec<f64>>,
    beta: Option<Vec<f64>>,
    running: Option<[Vec<f64>; 2]>,
    axis: usize,
    eps: f64,
}

impl Activations {
    fn of(request: &Request) -> Self {
        let x = request.wide("x").unwrap();
        let op = request.metadata["op"].as_str();
        let eps = if op == "rms_norm" {
            f64::from(f32::EPSILON)
        } else {
            1e-5
        };
        let shape = Shape::from(request.shape("x"));
        let axis = request.option("channel_axis", 1);
        let mask = request.wide("mask");
        let mean = request.wide("running_mean");
        Self {
            mask: match mask {
                Some(mask) => mask.iter().map(|&valid| valid != 0.0).collect(),
                None if matches!(op, "layer_norm" | "rms_norm") => Vec::new(),
                None => vec![true; x.len() / shape.dims()[axis]],
            },
            shape,
            dy: request.wide("dy").unwrap_or_else(|| vec![0.0; x.len()]),
            x,
            dtype: request.tensors["x"].0,
            residual: request.wide("residual"),
            relu: request.option("activation", String::new()) == "relu",
            gamma: request.wide("weight"),
            beta: request.wide("bias"),
            running: mean.map(|mean| [mean, request.wide("running_var").unwrap()]),
            axis,
            eps: request.option("eps", eps),
        }
    }

    /// Batch norm of the valid part of x.
    fn batch_norm(&self) -> MaskedBatchNorm<'_> {
        let layer = BatchNorm {
            shape: &self.shape,
            axis: self.axis,
            gamma: self.gamma.as_deref(),
            beta: self.beta.as_deref(),
            eps: self.eps,
        };
        let mask = &self.mask;
        MaskedBatchNorm { layer, mask }
    }

    fn invalid(&self) -> usize {
        self.mask.iter().filter(|valid| !**valid).count()
    }

    /// With a 0 where x is not valid.
    fn clear(&self, values: Vec<f64>) -> Vec<f64> {
        if self.invalid() == 0 {
            return values;
        }
        self.batch_norm().clear(&values)
    }

    fn tail(&self) -> Tail<'_> {
        Tail {
            residual: self.residual.as_deref(),
            relu: self.relu,
        }
    }

    fn by_running(&self) -> Judgement {
        let [mean, var] = self.running.clone().unwrap();
        let (x, dy) = (&self.x, &self.dy);
        let masked = self.batch_norm();
        let plain = MaskedBatchNorm {
            layer: BatchNorm {
                gamma: None,
                beta: None,
                ..masked.layer
            },
            ..masked
        };
        let sums = |factors: &[f64]| {
            let terms = dy.iter().zip(factors).map(|(dy, f)| (dy * f).abs());
            reference::channel_sums(&terms.collect::<Vec<_>>(), &self.shape, self.axis)
        };
        let gradients = masked.backward_frozen(x, dy, &mean, &var);
        let terms = Gradients {
            dx: gradients.dx.clone(),
            dgamma: sums(&plain.normalize(x, &mean, &var)),
            dbeta: sums(&vec![1.0; x.len()]),
        };
        let forward = Forward {
            y: masked.normalize(x, &mean, &var),
            rstd: var.iter().map(|v| 1.0 / (v + self.eps).sqrt()).collect(),
            mean,
            var,
        };
        (forward, gradients, terms)
    }

    fn by_batch(&self, request: &Request) -> Judgement {
        let (shape, axis, eps) = (&self.shape, self.axis, self.eps);
        let (gamma, beta) = (self.gamma.as_deref(), self.beta.as_deref());
        let (x, dy) = (&self.x[..], &self.dy[..]);
        let normalized_dims = request.option("normalized_dims", 1);
        #[rustfmt::skip]
        let judgement = match request.metadata["op"].as_str() {
            "batch_norm" => judge!(self.batch_norm(), x, dy),
            "layer_norm" => judge!(LayerNorm { shape, normalized_dims, gamma, beta, eps }, x, dy),
            "rms_norm" => judge!(RmsNorm { shape, normalized_dims, gamma, beta, eps }, x, dy),
            "group_norm" => {
                let groups = request.option("num_groups", 0);
                judge!(GroupNorm { shape, axis, groups, gamma, beta, eps }, x, dy)
            }
            "instance_norm" => judge!(InstanceNorm { shape, axis, gamma, beta, eps }, x, dy),
            _ => {
                let (r_max, d_max) = (request.option("r_max", 0.0), request.option("d_max", -1.0));
                self.renorm(BatchRenorm { shape, axis, gamma, beta, eps, r_max, d_max })
            }
        };
        judgement
    }

    fn renorm(&self, oracle: BatchRenorm<'_>) -> Judgement {
        let ([mean, var], x, dy) = (self.running.as_ref().unwrap(), &self.x, &self.dy);
        let forward = oracle.forward(x, mean, var);
        let gradients = oracle.backward(x, dy, mean, var);
        let terms = oracle.magnitudes(x, dy, mean, var);
        let forward = Forward {
            y: forward.y,
            mean: forward.mean,
            var: forward.var,
            rstd: forward.rstd,
        };
        (forward, gradients, terms)
    }

    /// What moves the running statistics.
    fn moments(&self, request: &Request) -> Moments {
        match request.metadata["op"].as_str() {
            "batch_norm" => return self.batch_norm().moments(&self.x),
            "batch_renorm" => return reference::moments(&self.x, &self.shape, self.axis),
            _ => (),
        }
        let oracle = InstanceNorm {
            shape: &self.shape,
            axis: self.axis,
            gamma: None,
            beta: None,
            eps: self.eps,
        };
        oracle.averaged_moments(&self.x)
    }

    /// The running statistics after the step.
    fn moved(&self, request: &Request) -> Option<AllWanted> {
        let [mut mean, mut var] = self.running.clone()?;
        let before = request.option("num_batches_tracked", 0.0);
        let weight = match request.metadata.get("momentum").map(String::as_str) {
            Some("cumulative") => 1.0 / (before + 1.0),
            _ => request.option("momentum", 0.1),
        };
        let batch = self.moments(request);
        let biased = request.option("running_var", "unbiased".to_owned()) == "biased";
        let batch_var = if biased {
            batch.var
        } else {
            reference::unbiased(&batch.var, batch.n)
        };
        if batch.n >= 2 {
            reference::update_running(&mut mean, &batch.mean, weight);
            reference::update_running(&mut var, &batch_var, weight);
        }
        let shape = [mean.len()];
        Some(BTreeMap::from([
            ("running_mean", Wanted::mean(&shape, mean, &var)),
            ("running_var", Wanted::itself(&shape, var)),
        ]))
    }
}

pub(super) fn wanted(request: &Request, results: &Results) -> AllWanted {
    let mut values = Activations::of(request);
    let (shape, dtype) = (values.shape.clone(), values.dtype);
    let shape = shape.dims();
    let (forward, ..) = values.judge(request);
    let y = values.clear(values.tail().apply(&forward.y));
    let passed = values
        .tail()
        .gate(&results.wide("y", shape, dtype), &values.dy);
    values.dy = values.clear(passed);

    let mut all = BTreeMap::from([("y", Wanted::itself(shape, y).stored(dtype))]);
    if request.option("mode", "train".to_owned()) == "train" {
        all.extend(values.statistics(request, forward));
    }
    if request.has("dy") {
        all.extend(values.gradients(request));
    }
    all
}

impl Activations {
    fn judge(&self, request: &Request) -> Judgement {
        let op = request.metadata["op"].as_str();
        let averaged = matches!(op, "batch_norm" | "instance_norm" | "batch_renorm");
        let train = request.option("mode", "train".to_owned()) == "train";
        let usual = if train { "batch" } else { "running" };
        if averaged && request.option("statistics", usual.to_owned()) == "running" {
            return self.by_running();
        }
        self.by_batch(request)
    }

    /// What a step in training tells of its statistics.
    fn statistics(&self, request: &Request, forward: Forward) -> AllWanted {
        let mut all = BTreeMap::new();
        let op = request.metadata["op"].as_str();
        if matches!(op, "batch_norm" | "batch_renorm") {
            let shape = [forward.mean.len()];
            all.insert("mean", Wanted::mean(&shape, forward.mean, &forward.var));
            all.insert("rstd", Wanted::itself(&shape, forward.rstd));
        }
        let moved = self.moved(request);
        // Batch norm counts in any case.
        if op == "batch_norm" || moved.is_some() {
            let tracked = request.option("num_batches_tracked", 0.0) + 1.0;
            all.insert("num_batches_tracked", Wanted::itself(&[1], vec![tracked]));
        }
        all.extend(moved.unwrap_or_default());
        all
    }

    /// Those of a dy that has passed the tail.
    fn gradients(&self, request: &Request) -> AllWanted {
        let (forward, gradients, terms) = self.judge(request);
        let (shape, dtype) = (self.shape.dims(), self.dtype);
        let n = self.x.len() / forward.rstd.len() - self.invalid();
        // With few values for each statistic most of dy is taken out again, so dx cancels.
        let sizes = if n < 16 { &terms.dx } else { &gradients.dx };
        let dx = Wanted::all(shape, gradients.dx.clone(), norm(sizes)).stored(dtype);
        let mut all = BTreeMap::from([("dx", dx)]);
        for (input, name, sums, terms) in [
            ("weight", "dweight", gradients.dgamma, &terms.dgamma),
            ("bias", "dbias", gradients.dbeta, &terms.dbeta),
        ] {
            if request.has(input) {
                all.insert(name, Wanted::sum(request.shape(input), sums, terms));
            }
        }
        if request.has("residual") {
            let passed = Wanted::exact(shape, self.dy.clone()).stored(dtype);
            all.insert("dresidual", passed);
        }
        all
    }
}
