//! One forward and backward of batch norm's relatives on guarded tensors, and their float64 twins.

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use wgnorm::functional::{self, Backward, Forward, NormOptions, Running};
use wgnorm::{
    BatchRenormOptions, DType, Device, GroupNormOptions, InstanceNormOptions, LayerNormOptions,
    Mode, PlanOptions, RmsNormOptions, Shape, Statistics, WeightNormOptions, reference,
};

use crate::bounds::{SUM, SUM_L2, hold_all, l2, worst};
use crate::guarded::Guarded;
use crate::stored::{hold_rounded, rounded};

#[derive(Clone, Debug)]
pub(crate) enum Norm {
    Layer(LayerNormOptions),
    Rms(RmsNormOptions),
    Group(GroupNormOptions),
    Instance(InstanceNormOptions),
    Renorm(BatchRenormOptions),
    Weight(WeightNormOptions),
}

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) norm: Norm,
    pub(crate) shape: Shape,
    pub(crate) mode: Mode,
    pub(crate) gamma: bool,
    pub(crate) beta: bool,
    /// |mean| / std of every statistic of x.
    pub(crate) offset: f64,
    pub(crate) seed: u64,
    /// The type of x, y, dy and dx.
    pub(crate) dtype: DType,
}

/// Inputs or outputs, as f32 or f64.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Values<T> {
    pub(crate) y: Vec<T>,
    pub(crate) mean: Vec<T>,
    pub(crate) rstd: Vec<T>,
    pub(crate) running_mean: Vec<T>,
    pub(crate) running_var: Vec<T>,
    pub(crate) dx: Vec<T>,
    pub(crate) dgamma: Vec<T>,
    pub(crate) dbeta: Vec<T>,
}

#[derive(Clone, Debug)]
pub(crate) struct Inputs {
    pub(crate) x: Vec<f32>,
    pub(crate) dy: Vec<f32>,
    pub(crate) gamma: Vec<f32>,
    pub(crate) beta: Vec<f32>,
    pub(crate) running_mean: Vec<f32>,
    pub(crate) running_var: Vec<f32>,
}

/// What float64 says, and the sizes of the terms of its sums.
pub(crate) struct Expected {
    pub(crate) values: Values<f64>,
    pub(crate) std: Vec<f64>,
    pub(crate) terms: reference::Gradients,
}

macro_rules! with_options {
    ($norm:expr, $options:ident => $body:expr) => {
        match $norm {
            Norm::Layer($options) => $body,
            Norm::Rms($options) => $body,
            Norm::Group($options) => $body,
            Norm::Instance($options) => $body,
            Norm::Renorm($options) => $body,
            Norm::Weight($options) => $body,
        }
    };
}

impl Case {
    pub(crate) fn new(norm: Norm, shape: impl Into<Shape>) -> Self {
        let has_beta = !matches!(norm, Norm::Weight(_));
        let mode = if matches!(norm, Norm::Renorm(_)) {
            Mode::TRAIN
        } else {
            Mode::RECOMPUTE
        };
        Self {
            norm,
            shape: shape.into(),
            mode,
            gamma: true,
            beta: has_beta,
            offset: 0.3,
            seed: 1,
            dtype: DType::F32,
        }
    }

    pub(crate) fn planned(mut self, plan: PlanOptions) -> Self {
        with_options!(&mut self.norm, options => options.plan = plan);
        self
    }

    /// An error where the strategy does not apply, to the batch's statistics or to running ones.
    pub(crate) fn try_plan(&self, device: &Device) -> wgnorm::Result<()> {
        use functional::Operation::{Forward, Inference};
        for operation in [Forward, Inference] {
            with_options!(&self.norm, options => {
                functional::cost(device, &self.shape, self.dtype, options, operation)?
            });
        }
        Ok(())
    }

    /// The index of the statistic of every element.
    fn statistics(&self) -> Vec<usize> {
        let (shape, gamma, beta) = (&self.shape, None, None);
        match &self.norm {
            Norm::Layer(options) => self.layer(options, gamma, beta).statistics(),
            Norm::Rms(options) => self.rms(options, gamma, beta).statistics(),
            Norm::Group(options) => self.group(options, gamma, beta).statistics(),
            Norm::Instance(options) => self.instance(options, gamma, beta).statistics(),
            Norm::Renorm(options) => reference::channels(shape, options.channel_axis).collect(),
            Norm::Weight(options) => reference::channels(shape, options.dim).collect(),
        }
    }

    /// Elements of gamma and beta, and of the running statistics.
    fn parameters(&self) -> (usize, usize) {
        let dims = self.shape.dims();
        let last = |k: usize| dims[dims.len() - k..].iter().product();
        match &self.norm {
            Norm::Layer(options) => (last(options.normalized_dims), 0),
            Norm::Rms(options) => (last(options.normalized_dims), 0),
            Norm::Group(options) => (dims[options.channel_axis], 0),
            Norm::Instance(options) => (dims[options.channel_axis], dims[options.channel_axis]),
            Norm::Renorm(options) => (dims[options.channel_axis], dims[options.channel_axis]),
            Norm::Weight(options) => (dims[options.dim], 0),
        }
    }

    pub(crate) fn inputs(&self) -> Inputs {
        let mut rng = Pcg64::seed_from_u64(self.seed);
        let statistics = self.statistics();
        let count = statistics.iter().max().map_or(0, |most| most + 1);
        let (parameters, channels) = self.parameters();
        let mut uniform = |n: usize, low: f64, high: f64| -> Vec<f64> {
            (0..n).map(|_| rng.random_range(low..high)).collect()
        };
        let (std, sign) = (uniform(count, 0.5, 2.0), uniform(count, -1.0, 1.0));
        let (gamma, beta) = (
            uniform(parameters, 0.5, 1.5),
            uniform(parameters, -0.5, 0.5),
        );
        let running_mean = uniform(channels, -0.5, 0.5);
        let running_var = uniform(channels, 0.5, 2.0);
        let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
        let x = statistics
            .iter()
            .map(|&c| (std[c] * (normal() + self.offset * sign[c].signum())) as f32)
            .collect();
        // A mean of its own keeps sum dy from cancelling.
        let dy = statistics.iter().map(|_| (normal() + 0.5) as f32).collect();
        let f32s = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
        Inputs {
            x: rounded(x, self.dtype),
            dy: rounded(dy, self.dtype),
            gamma: f32s(gamma),
            beta: f32s(beta),
            running_mean: f32s(running_mean),
            running_var: f32s(running_var),
        }
    }

    /// Runs the case, checks canaries and poison, and that a second run gives the same bits.
    pub(crate) fn run(&self, device: &Device, inputs: &Inputs) -> Values<f32> {
        with_options!(&self.norm, options => {
            let first = self.run_once(device, inputs, options);
            let again = self.run_once(device, inputs, options);
            let bits = |v: &Values<f32>| -> Vec<u32> {
                let all = [&v.y, &v.dx, &v.dgamma, &v.dbeta, &v.running_mean, &v.running_var];
                all.into_iter().flatten().map(|v| v.to_bits()).collect()
            };
            assert!(bits(&first) == bits(&again), "{self:?}: two runs differ");
            first
        })
    }

    /// y and dx of a run whose y lies on x, and dx on dy.
    pub(crate) fn run_in_place(&self, device: &Device, inputs: &Inputs) -> (Vec<f32>, Vec<f32>) {
        let stored = |v: &[f32]| Guarded::stored(device, v, &self.shape, self.dtype);
        let (x, y, dy) = (stored(&inputs.x), stored(&inputs.x), stored(&inputs.dy));
        let [gamma, beta] = [&inputs.gamma, &inputs.beta].map(|v| Guarded::vector(device, v));
        with_options!(&self.norm, options => {
            let len = functional::state_len(device, &self.shape, options).unwrap();
            let state = Guarded::poisoned(device, &Shape::from([len]));
            let forward = Forward {
                x: &y.tensor,
                y: &y.tensor,
                state: Some(&state.tensor),
                gamma: self.gamma.then_some(&gamma.tensor),
                beta: self.beta.then_some(&beta.tensor),
                running: None,
            };
            let backward = Backward {
                x: &x.tensor,
                dy: &dy.tensor,
                state: &state.tensor,
                gamma: self.gamma.then_some(&gamma.tensor),
                dx: Some(&dy.tensor),
                dgamma: None,
                dbeta: None,
            };
            let mut recorder = device.recorder();
            functional::forward(&mut recorder, &forward, options, self.mode).unwrap();
            functional::backward(&mut recorder, &backward, options, self.mode.statistics).unwrap();
            recorder.submit().unwrap();
        });
        (y.output(device), dy.output(device))
    }

    fn run_once(
        &self,
        device: &Device,
        inputs: &Inputs,
        options: &impl NormOptions,
    ) -> Values<f32> {
        let dtype = self.dtype;
        let [x, dy] =
            [&inputs.x, &inputs.dy].map(|v| Guarded::stored(device, v, &self.shape, dtype));
        let [y, dx] = [(); 2].map(|()| Guarded::output_of(device, &self.shape, dtype));
        let [gamma, beta] = [&inputs.gamma, &inputs.beta].map(|v| Guarded::vector(device, v));
        let parameters = Shape::from([inputs.gamma.len()]);
        let [dgamma, dbeta] = [(); 2].map(|()| Guarded::poisoned(device, &parameters));
        let running = [&inputs.running_mean, &inputs.running_var].map(|v| {
            let placeholder = vec![0.0];
            Guarded::vector(device, if v.is_empty() { &placeholder } else { v })
        });
        let tracked = Guarded::new(device, &[3], Shape::from([1]), DType::U32);
        let len = functional::state_len(device, &self.shape, options).unwrap();
        let state = Guarded::poisoned(device, &Shape::from([len]));
        let has_running = !inputs.running_mean.is_empty();
        let has_beta = !matches!(self.norm, Norm::Weight(_));
        let forward = Forward {
            x: &x.tensor,
            y: &y.tensor,
            state: Some(&state.tensor),
            gamma: self.gamma.then_some(&gamma.tensor),
            beta: self.beta.then_some(&beta.tensor),
            running: has_running.then_some(Running {
                mean: &running[0].tensor,
                var: &running[1].tensor,
                num_batches_tracked: Some(&tracked.tensor),
            }),
        };
        let backward = Backward {
            x: &x.tensor,
            dy: &dy.tensor,
            state: &state.tensor,
            gamma: self.gamma.then_some(&gamma.tensor),
            dx: Some(&dx.tensor),
            dgamma: Some(&dgamma.tensor),
            dbeta: has_beta.then_some(&dbeta.tensor),
        };
        let mut recorder = device.recorder();
        functional::forward(&mut recorder, &forward, options, self.mode).unwrap();
        functional::backward(&mut recorder, &backward, options, self.mode.statistics).unwrap();
        recorder.submit().unwrap();
        for (name, input) in [("x", &x), ("dy", &dy), ("gamma", &gamma), ("beta", &beta)] {
            input.expect_untouched(device, name);
        }
        let moved = self.mode.update_running && has_running;
        assert_eq!(tracked.words(device)[0], 3 + u32::from(moved), "{self:?}");
        let state: Vec<f32> = state
            .words(device)
            .into_iter()
            .map(f32::from_bits)
            .collect();
        let count = match self.mode.statistics {
            Statistics::Running => inputs.running_mean.len(),
            Statistics::Batch => self.statistics().iter().max().map_or(0, |most| most + 1),
        };
        let saved = functional::statistics(&state, count);
        Values {
            y: y.output(device),
            mean: saved.mean,
            rstd: saved.rstd,
            running_mean: running[0].output(device)[..inputs.running_mean.len()].to_vec(),
            running_var: running[1].output(device)[..inputs.running_var.len()].to_vec(),
            dx: dx.output(device),
            dgamma: dgamma.output(device),
            dbeta: if has_beta {
                dbeta.output(device)
            } else {
                vec![]
            },
        }
    }

    /// Whether every statistic has the two values that make a variance.
    pub(crate) fn has_values(&self) -> bool {
        let count = self.statistics().iter().max().map_or(1, |most| most + 1);
        self.shape.numel() > count
    }

    /// Runs the case on random inputs and holds every output against its bound.
    pub(crate) fn check(&self, device: &Device) {
        let inputs = self.inputs();
        let got = self.run(device, &inputs);
        let Expected {
            values: want,
            std,
            terms,
        } = self.expected(&inputs);
        let add = |a: &[f64], b: &[f64]| -> Vec<f64> {
            a.iter().zip(b).map(|(a, b)| a.abs() + b.abs()).collect()
        };
        let n = self.shape.numel() / want.mean.len().max(1);
        // With few values for each statistic most of dy is taken out again, so dx cancels.
        let dx_sizes = if n < 16 { &terms.dx } else { &want.dx };
        // A gain of few elements has an xhat that may be near 0, whose error is by x.
        let gains = if terms.dbeta.is_empty() {
            terms.dgamma.clone()
        } else {
            add(&terms.dgamma, &terms.dbeta)
        };
        let running = add(&want.running_mean, &vec![1.0; want.running_mean.len()]);
        let sums = |got: &[f32], want: &[f64], terms: &[f64]| (worst(got, want, terms), SUM);
        if self.dtype != DType::F32 {
            // By the largest of the factors, whoever has which.
            let most = |values: &[f64]| values.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
            let shifted: Vec<f64> = want
                .mean
                .iter()
                .zip(&want.rstd)
                .map(|(m, r)| m * r)
                .collect();
            let room = 0.5 + 1.5 * (1.0 + most(&shifted));
            let y_sizes: Vec<f64> = want.y.iter().map(|y| y.abs() + room).collect();
            hold_rounded(self, "y", (&got.y, &want.y, &y_sizes), self.dtype);
            hold_rounded(self, "dx", (&got.dx, &want.dx, &terms.dx), self.dtype);
        }
        let [y, dx] = match self.dtype {
            DType::F32 => [
                l2(&got.y, &want.y, &want.y),
                l2(&got.dx, &want.dx, dx_sizes),
            ],
            _ => [0.0; 2],
        };
        let errors = [
            ("y", (y, 3e-7)),
            ("mean", sums(&got.mean, &want.mean, &add(&want.mean, &std))),
            ("rstd", (l2(&got.rstd, &want.rstd, &want.rstd), 3e-7)),
            (
                "running_mean",
                sums(&got.running_mean, &want.running_mean, &running),
            ),
            (
                "running_var",
                (
                    l2(&got.running_var, &want.running_var, &want.running_var),
                    3e-7,
                ),
            ),
            ("dx", (dx, 3e-7)),
            (
                "dgamma",
                (l2(&got.dgamma, &want.dgamma, &terms.dgamma), SUM),
            ),
            (
                "dgamma's worst",
                (worst(&got.dgamma, &want.dgamma, &gains), SUM_L2),
            ),
            ("dbeta", sums(&got.dbeta, &want.dbeta, &terms.dbeta)),
        ];
        hold_all(self, &errors);
    }
}
