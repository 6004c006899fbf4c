//! One forward and backward through the functional layer on guarded tensors, and its float64 twin.

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use wgnorm::functional::{self, Backward, Forward, Running};
use wgnorm::{
    BatchNormOptions, DType, Device, Mode, Momentum, PlanOptions, RunningVariance, Shape,
    Statistics, reference,
};

use crate::guarded::Guarded;
use crate::stored::rounded;

/// Batch or running statistics, which are updated or not.
pub(crate) const MODES: [Mode; 4] = [
    Mode::TRAIN,
    Mode::EVAL,
    Mode::RECOMPUTE,
    Mode {
        statistics: Statistics::Running,
        update_running: true,
    },
];

/// What to run; the default is a PyTorch layer in training.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) shape: Shape,
    pub(crate) options: BatchNormOptions,
    pub(crate) mode: Mode,
    pub(crate) gamma: bool,
    pub(crate) beta: bool,
    pub(crate) running: bool,
    /// |mean| / std of every channel of x.
    pub(crate) offset: f64,
    pub(crate) seed: u64,
    /// The type of x, y, dy and dx.
    pub(crate) dtype: DType,
}

/// The inputs of a case on the host.
#[derive(Clone, Debug)]
pub(crate) struct Inputs {
    pub(crate) x: Vec<f32>,
    pub(crate) dy: Vec<f32>,
    pub(crate) gamma: Vec<f32>,
    pub(crate) beta: Vec<f32>,
    pub(crate) running_mean: Vec<f32>,
    pub(crate) running_var: Vec<f32>,
    pub(crate) tracked: u32,
}

/// What came out of the GPU.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outputs {
    pub(crate) y: Vec<f32>,
    pub(crate) mean: Vec<f32>,
    pub(crate) rstd: Vec<f32>,
    pub(crate) var: Vec<f32>,
    pub(crate) running_mean: Vec<f32>,
    pub(crate) running_var: Vec<f32>,
    pub(crate) tracked: u32,
    pub(crate) dx: Vec<f32>,
    pub(crate) dgamma: Vec<f32>,
    pub(crate) dbeta: Vec<f32>,
}

/// What float64 says, with the sizes of the terms that errors are measured by.
pub(crate) struct Expected {
    pub(crate) y: Vec<f64>,
    pub(crate) y_terms: Vec<f64>,
    pub(crate) mean: Vec<f64>,
    pub(crate) var: Vec<f64>,
    pub(crate) rstd: Vec<f64>,
    pub(crate) running_mean: Vec<f64>,
    pub(crate) running_var: Vec<f64>,
    pub(crate) gradients: reference::Gradients,
    pub(crate) dx_terms: Vec<f64>,
    pub(crate) dgamma_terms: Vec<f64>,
    pub(crate) dbeta_terms: Vec<f64>,
}

impl Case {
    pub(crate) fn new(shape: impl Into<Shape>, channel_axis: usize) -> Self {
        Self {
            shape: shape.into(),
            options: BatchNormOptions {
                channel_axis,
                ..BatchNormOptions::default()
            },
            mode: Mode::TRAIN,
            gamma: true,
            beta: true,
            running: true,
            offset: 0.3,
            seed: 1,
            dtype: DType::F32,
        }
    }

    pub(crate) fn planned(mut self, plan: PlanOptions) -> Self {
        self.options.plan = plan;
        self
    }

    pub(crate) fn channels(&self) -> usize {
        self.shape.dims()[self.options.channel_axis]
    }

    /// Values per channel.
    pub(crate) fn n(&self) -> usize {
        self.shape.numel() / self.channels()
    }

    /// Normal values with std from 0.5 to 2 by channel and a mean `offset` times that.
    pub(crate) fn inputs(&self) -> Inputs {
        let mut rng = Pcg64::seed_from_u64(self.seed);
        let channels = self.channels();
        let mut uniform = |low: f64, high: f64| -> Vec<f64> {
            (0..channels).map(|_| rng.random_range(low..high)).collect()
        };
        let (std, sign) = (uniform(0.5, 2.0), uniform(-1.0, 1.0));
        let (gamma, beta) = (uniform(0.5, 1.5), uniform(-0.5, 0.5));
        let (running_mean, running_var) = (uniform(-0.5, 0.5), uniform(0.5, 2.0));
        let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
        let channel = reference::channels(&self.shape, self.options.channel_axis);
        let x = channel
            .map(|c| (std[c] * (normal() + self.offset * sign[c].signum())) as f32)
            .collect();
        // A mean of its own keeps sum dy from cancelling.
        let dy = (0..self.shape.numel())
            .map(|_| (normal() + 0.5) as f32)
            .collect();
        let f32s = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
        Inputs {
            x: rounded(x, self.dtype),
            dy: rounded(dy, self.dtype),
            gamma: f32s(gamma),
            beta: f32s(beta),
            running_mean: f32s(running_mean),
            running_var: f32s(running_var),
            tracked: 3,
        }
    }

    /// Runs the case on the GPU, checks that inputs, canaries and poison are as they should be,
    /// and that a second run gives the same bits.
    pub(crate) fn run(&self, device: &Device, inputs: &Inputs) -> Outputs {
        let first = self.run_once(device, inputs);
        let again = self.run_once(device, inputs);
        assert!(first.bits() == again.bits(), "{self:?}: two runs differ");
        first
    }

    fn run_once(&self, device: &Device, inputs: &Inputs) -> Outputs {
        let Inputs { gamma, beta, .. } = inputs;
        let dtype = self.dtype;
        let [x, dy] =
            [&inputs.x, &inputs.dy].map(|v| Guarded::stored(device, v, &self.shape, dtype));
        let [y, dx] = [(); 2].map(|()| Guarded::output_of(device, &self.shape, dtype));
        let [gamma, beta] = [gamma, beta].map(|values| Guarded::vector(device, values));
        let channels = Shape::from([self.channels()]);
        let [dgamma, dbeta] = [(); 2].map(|()| Guarded::poisoned(device, &channels));
        let [mean, var] = [&inputs.running_mean, &inputs.running_var]
            .map(|values| Guarded::vector(device, values));
        let tracked = Guarded::new(device, &[inputs.tracked], Shape::from([1]), DType::U32);
        let len = functional::state_len(device, &self.shape, &self.options).unwrap();
        let state = Guarded::poisoned(device, &Shape::from([len]));

        let running = Running {
            mean: &mean.tensor,
            var: &var.tensor,
            num_batches_tracked: Some(&tracked.tensor),
        };
        let forward = Forward {
            state: Some(&state.tensor),
            gamma: self.gamma.then_some(&gamma.tensor),
            beta: self.beta.then_some(&beta.tensor),
            running: self.running.then_some(running),
            ..Forward::new(&x.tensor, &y.tensor)
        };
        let backward = Backward {
            gamma: self.gamma.then_some(&gamma.tensor),
            dx: Some(&dx.tensor),
            dgamma: Some(&dgamma.tensor),
            dbeta: Some(&dbeta.tensor),
            ..Backward::new(&x.tensor, &dy.tensor, &state.tensor)
        };
        let mut recorder = device.recorder();
        functional::forward(&mut recorder, &forward, &self.options, self.mode).unwrap();
        functional::backward(
            &mut recorder,
            &backward,
            &self.options,
            self.mode.statistics,
        )
        .unwrap();
        recorder.submit().unwrap();

        for (name, input) in [("x", &x), ("dy", &dy), ("gamma", &gamma), ("beta", &beta)] {
            input.expect_untouched(device, name);
        }
        let state: Vec<f32> = state
            .words(device)
            .into_iter()
            .map(f32::from_bits)
            .collect();
        let saved: Vec<&[f32]> = state
            .chunks_exact(4)
            .skip(1)
            .take(self.channels())
            .collect();
        Outputs {
            y: y.output(device),
            mean: saved
                .iter()
                .map(|s| (f64::from(s[0]) + f64::from(s[1])) as f32)
                .collect(),
            rstd: saved.iter().map(|s| s[2]).collect(),
            var: saved.iter().map(|s| s[3]).collect(),
            running_mean: mean.output(device),
            running_var: var.output(device),
            tracked: tracked.words(device)[0],
            dx: dx.output(device),
            dgamma: dgamma.output(device),
            dbeta: dbeta.output(device),
        }
    }

    /// The same in float64, on the same f32-rounded inputs.
    pub(crate) fn expected(&self, inputs: &Inputs) -> Expected {
        let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
        let (x, dy) = (wide(&inputs.x), wide(&inputs.dy));
        let (gamma, beta) = (wide(&inputs.gamma), wide(&inputs.beta));
        let (shape, axis) = (&self.shape, self.options.channel_axis);
        let oracle = reference::BatchNorm {
            shape,
            axis,
            gamma: self.gamma.then_some(&gamma[..]),
            beta: self.beta.then_some(&beta[..]),
            eps: self.options.eps,
        };
        let batch = reference::moments(&x, shape, axis);
        let mut running_mean = wide(&inputs.running_mean);
        let mut running_var = wide(&inputs.running_var);
        let (mean, var) = match self.mode.statistics {
            Statistics::Batch => (batch.mean.clone(), batch.var.clone()),
            Statistics::Running => (running_mean.clone(), running_var.clone()),
        };
        let y = oracle.normalize(&x, &mean, &var);
        let gradients = match self.mode.statistics {
            Statistics::Batch => oracle.backward(&x, &dy),
            Statistics::Running => oracle.backward_frozen(&x, &dy, &mean, &var),
        };
        if self.mode.update_running {
            let weight = self.weight_of_new(inputs);
            let batch_var = match self.options.running_variance {
                RunningVariance::Unbiased => reference::unbiased(&batch.var, batch.n),
                RunningVariance::Biased => batch.var,
            };
            reference::update_running(&mut running_mean, &batch.mean, weight);
            reference::update_running(&mut running_var, &batch_var, weight);
        }
        let rstd: Vec<f64> = var
            .iter()
            .map(|v| 1.0 / (v + self.options.eps).sqrt())
            .collect();
        let plain = reference::BatchNorm {
            gamma: None,
            beta: None,
            ..oracle
        };
        let xhat = plain.normalize(&x, &mean, &var);
        let terms: Vec<f64> = dy
            .iter()
            .zip(&xhat)
            .map(|(dy, xhat)| (dy * xhat).abs())
            .collect();
        let sizes: Vec<f64> = dy.iter().map(|dy| dy.abs()).collect();
        let dgamma_terms = reference::channel_sums(&terms, shape, axis);
        let dbeta_terms = reference::channel_sums(&sizes, shape, axis);
        let y_terms = reference::channels(shape, axis)
            .zip(&y)
            .map(|(c, y)| {
                let gamma = if self.gamma { gamma[c].abs() } else { 1.0 };
                let beta = if self.beta { beta[c].abs() } else { 0.0 };
                y.abs() + beta + gamma * (1.0 + mean[c].abs() * rstd[c])
            })
            .collect();
        let n = self.n() as f64;
        let dx_terms = reference::channels(shape, axis)
            .zip(dy.iter().zip(&xhat))
            .map(|(c, (dy, xhat))| {
                let scale = rstd[c] * if self.gamma { gamma[c].abs() } else { 1.0 };
                scale * (dy.abs() + (dbeta_terms[c] + xhat.abs() * dgamma_terms[c]) / n)
            })
            .collect();
        Expected {
            y,
            y_terms,
            mean,
            var,
            rstd,
            running_mean,
            running_var,
            gradients,
            dx_terms,
            dgamma_terms,
            dbeta_terms,
        }
    }

    fn weight_of_new(&self, inputs: &Inputs) -> f64 {
        match self.options.momentum {
            Momentum::NewWeight(weight) => weight,
            Momentum::OldWeight(weight) => 1.0 - weight,
            Momentum::Cumulative => 1.0 / f64::from(inputs.tracked + 1),
        }
    }
}

impl Outputs {
    /// All bits, since NaN does not equal itself.
    fn bits(&self) -> Vec<u32> {
        let all = [
            &self.y,
            &self.mean,
            &self.rstd,
            &self.var,
            &self.running_mean,
            &self.running_var,
            &self.dx,
            &self.dgamma,
            &self.dbeta,
        ];
        all.into_iter()
            .flatten()
            .map(|value| value.to_bits())
            .chain([self.tracked])
            .collect()
    }
}
