//! What the float64 oracle says of a request for one of batch norm's relatives, and how far from it a
//! result may be.

use std::collections::BTreeMap;

use wgnorm::Shape;
use wgnorm::reference::{
    self, BatchNorm, BatchRenorm, Forward, Gradients, GroupNorm, InstanceNorm, LayerNorm, Moments,
    RmsNorm, SpectralNorm, WeightNorm,
};

use crate::{Request, norm};

/// A result as it should be.
pub(crate) struct Wanted {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f64>,
    sizes: Sizes,
    pub(crate) bound: f64,
}

/// What an error is measured by.
enum Sizes {
    /// The norm of all errors by this.
    All(f64),
    /// Each by its own.
    Each(Vec<f64>),
}

/// All results by name, `num_batches_tracked` among them.
pub(crate) type AllWanted = BTreeMap<&'static str, Wanted>;

impl Wanted {
    /// The error of values, whether against these or more exact ones, in the measure of the bound.
    pub(crate) fn error(&self, got: &[f32], want: &[f64]) -> f64 {
        assert_eq!(got.len(), want.len());
        let errors = got.iter().zip(want).map(|(g, w)| f64::from(*g) - w);
        let errors: Vec<f64> = errors.collect();
        let ratio = |error: f64, size: f64| if error == 0.0 { 0.0 } else { error / size };
        let ratios = match &self.sizes {
            Sizes::All(size) => vec![ratio(norm(&errors), *size)],
            Sizes::Each(sizes) => {
                let pairs = errors.iter().zip(sizes);
                pairs
                    .map(|(error, size)| ratio(error.abs(), *size))
                    .collect()
            }
        };
        let finite = ratios
            .into_iter()
            .map(|r| if r.is_finite() { r } else { f64::INFINITY });
        finite.fold(0.0, f64::max)
    }

    fn all(shape: &[usize], values: Vec<f64>, size: f64) -> Self {
        Self {
            shape: shape.to_vec(),
            values,
            sizes: Sizes::All(size),
            bound: 3e-7,
        }
    }

    /// By the norm of the values themselves.
    fn itself(shape: &[usize], values: Vec<f64>) -> Self {
        let size = norm(&values);
        Self::all(shape, values, size)
    }

    /// A sum, by the sum of its terms' magnitudes.
    fn sum(shape: &[usize], values: Vec<f64>, terms: &[f64]) -> Self {
        Self {
            bound: 2e-7,
            ..Self::all(shape, values, norm(terms))
        }
    }

    /// A mean, by its magnitude and the spread around it.
    fn mean(shape: &[usize], values: Vec<f64>, var: &[f64]) -> Self {
        let each = values.iter().zip(var).map(|(m, v)| m.abs() + v.sqrt());
        Self {
            sizes: Sizes::Each(each.collect()),
            bound: 2e-7,
            ..Self::all(shape, values, 1.0)
        }
    }
}

pub(crate) fn wanted(request: &Request) -> AllWanted {
    match request.metadata["op"].as_str() {
        "weight_norm" => weight_norm(request),
        "spectral_norm" => spectral_norm(request),
        _ => activations(request),
    }
}

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
        let mean = request.wide("running_mean");
        Self {
            shape: Shape::from(request.shape("x")),
            dy: request.wide("dy").unwrap_or_else(|| vec![0.0; x.len()]),
            x,
            gamma: request.wide("weight"),
            beta: request.wide("bias"),
            running: mean.map(|mean| [mean, request.wide("running_var").unwrap()]),
            axis: request.option("channel_axis", 1),
            eps: request.option("eps", eps),
        }
    }

    fn by_running(&self) -> Judgement {
        let [mean, var] = self.running.clone().unwrap();
        let (x, dy) = (&self.x, &self.dy);
        let layer = BatchNorm {
            shape: &self.shape,
            axis: self.axis,
            gamma: self.gamma.as_deref(),
            beta: self.beta.as_deref(),
            eps: self.eps,
        };
        let plain = BatchNorm {
            gamma: None,
            beta: None,
            ..layer
        };
        let sums = |factors: &[f64]| {
            let terms = dy.iter().zip(factors).map(|(dy, f)| (dy * f).abs());
            reference::channel_sums(&terms.collect::<Vec<_>>(), &self.shape, self.axis)
        };
        let gradients = layer.backward_frozen(x, dy, &mean, &var);
        let terms = Gradients {
            dx: gradients.dx.clone(),
            dgamma: sums(&plain.normalize(x, &mean, &var)),
            dbeta: sums(&vec![1.0; x.len()]),
        };
        let forward = Forward {
            y: layer.normalize(x, &mean, &var),
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
        if request.metadata["op"] != "instance_norm" {
            return reference::moments(&self.x, &self.shape, self.axis);
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
        reference::update_running(&mut mean, &batch.mean, weight);
        reference::update_running(&mut var, &batch_var, weight);
        let shape = [mean.len()];
        Some(BTreeMap::from([
            ("running_mean", Wanted::mean(&shape, mean, &var)),
            ("running_var", Wanted::itself(&shape, var)),
        ]))
    }
}

fn activations(request: &Request) -> AllWanted {
    let values = Activations::of(request);
    let op = request.metadata["op"].as_str();
    let averaged = matches!(op, "instance_norm" | "batch_renorm");
    let train = request.option("mode", "train".to_owned()) == "train";
    let usual = if train { "batch" } else { "running" };
    let by_running = averaged && request.option("statistics", usual.to_owned()) == "running";
    let (forward, gradients, terms) = if by_running {
        values.by_running()
    } else {
        values.by_batch(request)
    };
    let shape = values.shape.dims();
    let n = values.x.len() / forward.rstd.len();
    let mut all = BTreeMap::from([("y", Wanted::itself(shape, forward.y))]);
    if train && op == "batch_renorm" {
        let shape = [forward.mean.len()];
        all.insert("mean", Wanted::mean(&shape, forward.mean, &forward.var));
        all.insert("rstd", Wanted::itself(&shape, forward.rstd));
    }
    if let Some(moved) = values.moved(request).filter(|_| train) {
        all.extend(moved);
        let tracked = request.option("num_batches_tracked", 0.0) + 1.0;
        all.insert("num_batches_tracked", Wanted::itself(&[1], vec![tracked]));
    }
    if request.has("dy") {
        // With few values for each statistic most of dy is taken out again, so dx cancels.
        let sizes = if n < 16 { &terms.dx } else { &gradients.dx };
        all.insert("dx", Wanted::all(shape, gradients.dx.clone(), norm(sizes)));
        if request.has("weight") {
            let shape = request.shape("weight");
            let dweight = Wanted::sum(shape, gradients.dgamma, &terms.dgamma);
            all.insert("dweight", dweight);
        }
        if request.has("bias") {
            let dbias = Wanted::sum(request.shape("bias"), gradients.dbeta, &terms.dbeta);
            all.insert("dbias", dbias);
        }
    }
    all
}

fn weight_norm(request: &Request) -> AllWanted {
    let shape = Shape::from(request.shape("v"));
    let dim = request.option("dim", 0);
    let oracle = WeightNorm { shape: &shape, dim };
    let (v, g) = (request.wide("v").unwrap(), request.wide("g").unwrap());
    let w = Wanted::itself(shape.dims(), oracle.forward(&v, &g));
    let mut all = BTreeMap::from([("w", w)]);
    if let Some(dw) = request.wide("dw") {
        let gradients = oracle.backward(&v, &g, &dw);
        let terms = oracle.magnitudes(&v, &g, &dw);
        let dv = Wanted::all(shape.dims(), gradients.dv, norm(&terms.dv));
        let dg = Wanted::sum(request.shape("g"), gradients.dg, &terms.dg);
        all.extend([("dv", dv), ("dg", dg)]);
    }
    all
}

fn spectral_norm(request: &Request) -> AllWanted {
    let shape = Shape::from(request.shape("weight"));
    let oracle = SpectralNorm {
        shape: &shape,
        dim: request.option("dim", 0),
        eps: request.option("eps", 1e-12),
    };
    let iterations = match request.option("mode", "train".to_owned()).as_str() {
        "eval" => 0,
        _ => request.option("power_iterations", 1),
    };
    let (weight, u) = (request.wide("weight").unwrap(), request.wide("u").unwrap());
    let found = oracle.forward(&weight, &u, None, iterations);
    let mut all = BTreeMap::new();
    if let Some(dw) = request.wide("dw") {
        let dweight = oracle.backward(&weight, &found.u, &found.v, &dw);
        let terms = oracle.magnitudes(&weight, &found.u, &found.v, &dw);
        let dweight = Wanted::all(shape.dims(), dweight, norm(&terms));
        all.insert("dweight", dweight);
    }
    // A u that lies across most of the weight leaves little of the first product's terms.
    let start: Vec<f64> = u.iter().map(|value| value / norm(&u)).collect();
    let first = oracle.forward(&weight, &start, None, 0).sigma;
    let terms = norm(&weight) / first;
    let results = [
        ("w", shape.dims(), found.w),
        ("u", request.shape("u"), found.u),
        ("sigma", &[1], vec![found.sigma]),
    ];
    for (name, shape, values) in results {
        let size = terms * norm(&values);
        all.insert(name, Wanted::all(shape, values, size));
    }
    all
}
