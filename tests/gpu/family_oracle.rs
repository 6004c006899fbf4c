//! What float64 says of a case of any norm.

use wgnorm::{
    BatchNormOptions, BatchRenormOptions, GroupNormOptions, InstanceNormOptions, LayerNormOptions,
    Momentum, RmsNormOptions, RunningVariance, Statistics, reference,
};

use crate::family_case::{Case, Expected, Inputs, Norm, Values};

impl Case {
    fn batch<'a>(
        &'a self,
        options: &BatchNormOptions,
        gamma: Option<&'a [f64]>,
        beta: Option<&'a [f64]>,
    ) -> reference::BatchNorm<'a> {
        reference::BatchNorm {
            shape: &self.shape,
            axis: options.channel_axis,
            gamma,
            beta,
            eps: options.eps,
        }
    }

    pub(crate) fn layer<'a>(
        &'a self,
        options: &LayerNormOptions,
        gamma: Option<&'a [f64]>,
        beta: Option<&'a [f64]>,
    ) -> reference::LayerNorm<'a> {
        reference::LayerNorm {
            shape: &self.shape,
            normalized_dims: options.normalized_dims,
            gamma,
            beta,
            eps: options.eps,
        }
    }

    pub(crate) fn rms<'a>(
        &'a self,
        options: &RmsNormOptions,
        gamma: Option<&'a [f64]>,
        beta: Option<&'a [f64]>,
    ) -> reference::RmsNorm<'a> {
        reference::RmsNorm {
            shape: &self.shape,
            normalized_dims: options.normalized_dims,
            gamma,
            beta,
            eps: options.eps,
        }
    }

    pub(crate) fn group<'a>(
        &'a self,
        options: &GroupNormOptions,
        gamma: Option<&'a [f64]>,
        beta: Option<&'a [f64]>,
    ) -> reference::GroupNorm<'a> {
        reference::GroupNorm {
            shape: &self.shape,
            axis: options.channel_axis,
            groups: options.groups,
            gamma,
            beta,
            eps: options.eps,
        }
    }

    pub(crate) fn instance<'a>(
        &'a self,
        options: &InstanceNormOptions,
        gamma: Option<&'a [f64]>,
        beta: Option<&'a [f64]>,
    ) -> reference::InstanceNorm<'a> {
        reference::InstanceNorm {
            shape: &self.shape,
            axis: options.channel_axis,
            gamma,
            beta,
            eps: options.eps,
        }
    }

    pub(crate) fn expected(&self, inputs: &Inputs) -> Expected {
        let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
        let (x, dy) = (wide(&inputs.x), wide(&inputs.dy));
        let (gammas, betas) = (wide(&inputs.gamma), wide(&inputs.beta));
        let gamma = self.gamma.then_some(&gammas[..]);
        let beta = self.beta.then_some(&betas[..]);
        let running = [wide(&inputs.running_mean), wide(&inputs.running_var)];
        macro_rules! plain {
            ($oracle:expr) => {{
                let oracle = $oracle;
                let gradients = oracle.backward(&x, &dy);
                expected(
                    oracle.forward(&x),
                    gradients,
                    oracle.magnitudes(&x, &dy),
                    running,
                )
            }};
        }
        match &self.norm {
            Norm::Batch(options) if self.mask.is_some() => {
                let mask: Vec<bool> = inputs.mask.iter().map(|&valid| valid != 0).collect();
                let oracle = reference::MaskedBatchNorm {
                    layer: self.batch(options, gamma, beta),
                    mask: &mask,
                };
                self.expected_masked(options, &oracle, (&x, &dy), running)
            }
            Norm::Batch(options) => self.expected_batch(options, (&x, &dy), [gamma, beta], running),
            Norm::Layer(options) => plain!(self.layer(options, gamma, beta)),
            Norm::Rms(options) => plain!(self.rms(options, gamma, beta)),
            Norm::Group(options) => plain!(self.group(options, gamma, beta)),
            Norm::Instance(options) if self.mode.statistics == Statistics::Running => {
                let options = BatchNormOptions {
                    channel_axis: options.channel_axis,
                    eps: options.eps,
                    ..BatchNormOptions::default()
                };
                self.expected_batch(&options, (&x, &dy), [gamma, beta], running)
            }
            Norm::Instance(options) => {
                let oracle = self.instance(options, gamma, beta);
                let [mut mean, mut var] = running;
                if self.mode.update_running {
                    let average = oracle.averaged_moments(&x);
                    let batch_var = variance(options.running_variance, &average.var, average.n);
                    let weight = weight_of(options.momentum);
                    reference::update_running(&mut mean, &average.mean, weight);
                    reference::update_running(&mut var, &batch_var, weight);
                }
                let terms = oracle.magnitudes(&x, &dy);
                expected(
                    oracle.forward(&x),
                    oracle.backward(&x, &dy),
                    terms,
                    [mean, var],
                )
            }
            Norm::Renorm(options) => {
                self.expected_renorm(options, (&x, &dy), [gamma, beta], running)
            }
            Norm::Weight(options) => {
                let oracle = reference::WeightNorm {
                    shape: &self.shape,
                    dim: options.dim,
                };
                let ones = vec![1.0; inputs.gamma.len()];
                let g = gamma.unwrap_or(&ones);
                let norms = oracle.norms(&x);
                let forward = reference::Forward {
                    y: oracle.forward(&x, g),
                    mean: vec![0.0; norms.len()],
                    var: norms.iter().map(|n| n * n).collect(),
                    rstd: norms.iter().map(|n| 1.0 / n).collect(),
                };
                let gradients = |g: reference::WeightGradients| reference::Gradients {
                    dx: g.dv,
                    dgamma: g.dg,
                    dbeta: vec![],
                };
                let (own, terms) = (oracle.backward(&x, g, &dy), oracle.magnitudes(&x, g, &dy));
                expected(forward, gradients(own), gradients(terms), running)
            }
        }
    }

    fn expected_batch(
        &self,
        options: &BatchNormOptions,
        (x, dy): (&[f64], &[f64]),
        [gamma, beta]: [Option<&[f64]>; 2],
        [mut mean, mut var]: [Vec<f64>; 2],
    ) -> Expected {
        let oracle = self.batch(options, gamma, beta);
        let terms = oracle.magnitudes(x, dy);
        let own = oracle.forward(x);
        let old = [mean.clone(), var.clone()];
        if self.mode.update_running {
            let weight = weight_of(options.momentum);
            let batch_var = variance(options.running_variance, &own.var, x.len() / own.mean.len());
            reference::update_running(&mut mean, &own.mean, weight);
            reference::update_running(&mut var, &batch_var, weight);
        }
        if self.mode.statistics == Statistics::Batch {
            return expected(own, oracle.backward(x, dy), terms, [mean, var]);
        }
        let y = oracle.normalize(x, &old[0], &old[1]);
        let gradients = oracle.backward_frozen(x, dy, &old[0], &old[1]);
        let terms = self.frozen_terms(options, (x, dy), &old, &gradients, terms);
        expected(
            by_running(y, old, options.eps),
            gradients,
            terms,
            [mean, var],
        )
    }

    /// The sizes of terms where running statistics normalize, whose xhat may be far above 1.
    fn frozen_terms(
        &self,
        options: &BatchNormOptions,
        (x, dy): (&[f64], &[f64]),
        [mean, var]: &[Vec<f64>; 2],
        gradients: &reference::Gradients,
        batch: reference::Gradients,
    ) -> reference::Gradients {
        let xhat = self.batch(options, None, None).normalize(x, mean, var);
        let products = dy.iter().zip(&xhat).map(|(dy, xhat)| (dy * xhat).abs());
        // What a mask calls invalid is NaN and counts for nothing.
        let counted: Vec<f64> = products.map(|term| term.max(0.0)).collect();
        reference::Gradients {
            dx: gradients.dx.iter().map(|dx| dx.abs()).collect(),
            dgamma: reference::channel_sums(&counted, &self.shape, options.channel_axis),
            dbeta: batch.dbeta,
        }
    }

    fn expected_masked(
        &self,
        options: &BatchNormOptions,
        oracle: &reference::MaskedBatchNorm<'_>,
        (x, dy): (&[f64], &[f64]),
        [mut mean, mut var]: [Vec<f64>; 2],
    ) -> Expected {
        let terms = oracle.magnitudes(x, dy);
        let own = oracle.forward(x);
        let old = [mean.clone(), var.clone()];
        if self.mode.update_running {
            let n = oracle.mask.iter().filter(|&&valid| valid).count();
            let batch_var = variance(options.running_variance, &own.var, n);
            let weight = weight_of(options.momentum);
            oracle.update_running(&mut mean, &own.mean, weight);
            oracle.update_running(&mut var, &batch_var, weight);
        }
        if self.mode.statistics == Statistics::Batch {
            return expected(own, oracle.backward(x, dy), terms, [mean, var]);
        }
        let y = oracle.normalize(x, &old[0], &old[1]);
        let gradients = oracle.backward_frozen(x, dy, &old[0], &old[1]);
        let terms = self.frozen_terms(options, (x, dy), &old, &gradients, terms);
        expected(
            by_running(y, old, options.eps),
            gradients,
            terms,
            [mean, var],
        )
    }

    fn expected_renorm(
        &self,
        options: &BatchRenormOptions,
        (x, dy): (&[f64], &[f64]),
        [gamma, beta]: [Option<&[f64]>; 2],
        [mut mean, mut var]: [Vec<f64>; 2],
    ) -> Expected {
        let oracle = reference::BatchRenorm {
            shape: &self.shape,
            axis: options.channel_axis,
            gamma,
            beta,
            eps: options.eps,
            r_max: options.r_max,
            d_max: options.d_max,
        };
        let forward = oracle.forward(x, &mean, &var);
        let gradients = oracle.backward(x, dy, &mean, &var);
        let terms = oracle.magnitudes(x, dy, &mean, &var);
        if self.mode.update_running {
            let n = x.len() / forward.mean.len();
            let batch_var = variance(options.running_variance, &forward.var, n);
            let weight = weight_of(options.momentum);
            reference::update_running(&mut mean, &forward.mean, weight);
            reference::update_running(&mut var, &batch_var, weight);
        }
        let forward = reference::Forward {
            y: forward.y,
            mean: forward.mean,
            var: forward.var,
            rstd: forward.rstd,
        };
        expected(forward, gradients, terms, [mean, var])
    }
}

/// What moves the running variance, given the biased one of `n` values.
fn variance(kind: RunningVariance, var: &[f64], n: usize) -> Vec<f64> {
    match kind {
        RunningVariance::Unbiased => reference::unbiased(var, n),
        RunningVariance::Biased => var.to_vec(),
    }
}

/// A forward by running statistics.
fn by_running(y: Vec<f64>, [mean, var]: [Vec<f64>; 2], eps: f64) -> reference::Forward {
    let rstd = var.iter().map(|v| 1.0 / (v + eps).sqrt()).collect();
    reference::Forward { y, mean, var, rstd }
}

/// The case counts its fourth batch.
pub(crate) fn weight_of(momentum: Momentum) -> f64 {
    match momentum {
        Momentum::NewWeight(weight) => weight,
        Momentum::OldWeight(weight) => 1.0 - weight,
        Momentum::Cumulative => 0.25,
    }
}

fn expected(
    forward: reference::Forward,
    gradients: reference::Gradients,
    terms: reference::Gradients,
    [running_mean, running_var]: [Vec<f64>; 2],
) -> Expected {
    Expected {
        std: forward.var.iter().map(|var| var.sqrt()).collect(),
        before: forward.y.clone(),
        values: Values {
            y: forward.y,
            mean: forward.mean,
            rstd: forward.rstd,
            running_mean,
            running_var,
            dx: gradients.dx,
            dgamma: gradients.dgamma,
            dbeta: gradients.dbeta,
            dresidual: vec![],
        },
        terms,
    }
}
