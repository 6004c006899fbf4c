//! What Burn computes, against the formulas in float64.
//!
//! Every row is checked at its own shape: a driver may cut long loops short, and then a time is
//! that of another computation.

use burn::tensor::{Tensor, TensorData};

use crate::measure::{Case, host, values};

/// Of the scale of the values; a sum that lacks a few of 65536 terms is further off.
const TOLERANCE: f64 = 1e-5;

type Check = Result<(), String>;

impl<const D: usize> Case<D> {
    /// Compares the output of the training forward and the statistics that it moves.
    pub fn check_forward(&self) -> Check {
        let batch = Batch::new(self);
        let (old_mean, old_variance) = self.running()?;
        let y = host(Some(self.norm.forward(self.x.clone())))?;
        let (mean, variance) = self.running()?;
        let momentum = self.norm.momentum;
        let seen = |new: &[f64], old: &[f64]| {
            let blend = |(new, old): (&f64, &f64)| (new - (1.0 - momentum) * old) / momentum;
            new.iter().zip(old).map(blend).collect::<Vec<_>>()
        };
        same("running mean", &seen(&mean, &old_mean), &batch.mean, 1.0)?;
        // Burn moves it with the biased variance, PyTorch with the unbiased one.
        let variance = seen(&variance, &old_variance);
        same("running variance", &variance, &batch.variance, 1.0)?;
        same("y", &y, &batch.normalized, 1.0)
    }

    pub fn check_inference(&self) -> Check {
        let mut batch = Batch::new(self);
        (batch.mean, batch.variance) = self.running()?;
        batch.normalize();
        same("y", &host(Some(self.infer()))?, &batch.normalized, 1.0)
    }

    /// Compares the gradients of the input and both parameters: from ones, which is what is timed,
    /// and from values that leave no gradient at zero.
    pub fn check_backward(&self) -> Check {
        let batch = Batch::new(self);
        let count = batch.x.len();
        let dy = values(count, 2);
        let weights = TensorData::new(dy.clone(), self.x.dims());
        let weights = Tensor::from_data(weights, &self.device);
        let y = self.norm.forward(self.x.clone());
        self.same_gradients(&(y * weights).sum(), &batch, &dy)?;
        let y = self.norm.forward(self.x.clone());
        self.same_gradients(&y, &batch, &vec![1.0; count])
    }

    /// Compares what the backward from `root` makes where the gradient of the output is `dy`.
    fn same_gradients<const R: usize>(&self, root: &Tensor<R>, batch: &Batch, dy: &[f32]) -> Check {
        let gradients = root.backward();
        let dx = host(self.x.grad(&gradients))?;
        let dgamma = host(self.norm.gamma.val().grad(&gradients))?;
        let dbeta = host(self.norm.beta.val().grad(&gradients))?;
        let expected = batch.backward(dy);
        same("dbeta", &dbeta, &expected.dbeta, batch.count)?;
        same("dgamma", &dgamma, &expected.dgamma, batch.count)?;
        same("dx", &dx, &expected.dx, 1.0)
    }

    fn running(&self) -> Result<(Vec<f64>, Vec<f64>), String> {
        let mean = host(Some(self.norm.running_mean.value_sync()))?;
        Ok((mean, host(Some(self.norm.running_var.value_sync()))?))
    }
}

/// An input normalized by the formulas, with gamma 1 and beta 0 as in a new layer.
struct Batch {
    x: Vec<f64>,
    /// Values per channel.
    count: f64,
    /// Values per channel that lie side by side.
    inner: usize,
    epsilon: f64,
    mean: Vec<f64>,
    variance: Vec<f64>,
    normalized: Vec<f64>,
}

struct Gradients {
    dx: Vec<f64>,
    dgamma: Vec<f64>,
    dbeta: Vec<f64>,
}

impl Batch {
    fn new<const D: usize>(case: &Case<D>) -> Self {
        let dimensions = case.x.dims();
        let x: Vec<f64> = case.values.iter().map(|&v| v.into()).collect();
        let count = (x.len() / dimensions[1]) as f64;
        let mut batch = Self {
            x,
            count,
            inner: dimensions[2..].iter().product(),
            epsilon: case.norm.epsilon,
            mean: vec![0.0; dimensions[1]],
            variance: vec![0.0; dimensions[1]],
            normalized: Vec::new(),
        };
        batch.mean = batch.sums(|i, _| batch.x[i] / count);
        batch.variance = batch.sums(|i, c| (batch.x[i] - batch.mean[c]).powi(2) / count);
        batch.normalize();
        batch
    }

    fn normalize(&mut self) {
        let normalize = |i: usize| {
            let c = self.channel(i);
            (self.x[i] - self.mean[c]) * self.inv_std(c)
        };
        self.normalized = (0..self.x.len()).map(normalize).collect();
    }

    fn backward(&self, dy: &[f32]) -> Gradients {
        let dbeta = self.sums(|i, _| dy[i].into());
        let dgamma = self.sums(|i, _| f64::from(dy[i]) * self.normalized[i]);
        let dx = |i: usize| {
            let c = self.channel(i);
            let means = (dbeta[c] + self.normalized[i] * dgamma[c]) / self.count;
            self.inv_std(c) * (f64::from(dy[i]) - means)
        };
        Gradients {
            dx: (0..self.x.len()).map(dx).collect(),
            dgamma,
            dbeta,
        }
    }

    fn inv_std(&self, c: usize) -> f64 {
        (self.variance[c] + self.epsilon).sqrt().recip()
    }

    fn channel(&self, i: usize) -> usize {
        i / self.inner % self.mean.len()
    }

    /// Sums `term` of each index and its channel per channel.
    fn sums(&self, term: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        let mut sums = vec![0.0; self.mean.len()];
        for i in 0..self.x.len() {
            let c = self.channel(i);
            sums[c] += term(i, c);
        }
        sums
    }
}

fn same(what: &str, got: &[f64], expected: &[f64], scale: f64) -> Check {
    let near = |(got, want): (&f64, &f64)| (got - want).abs() <= TOLERANCE * scale;
    // A NaN is not near anything.
    match got.iter().zip(expected).position(|pair| !near(pair)) {
        None if got.len() == expected.len() => Ok(()),
        None => Err(format!("{what} has {} values", got.len())),
        Some(i) => Err(format!("{what}[{i}] is {}, not {}", got[i], expected[i])),
    }
}
