//! One forward and backward of any norm on guarded tensors, with what may follow it, and their float64
//! twins.

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use wgnorm::functional;
use wgnorm::{
    Activation, BatchNormOptions, BatchRenormOptions, DType, Device, GroupNormOptions,
    InstanceNormOptions, LayerNormOptions, Mode, PlanOptions, RmsNormOptions, Shape, Wanted,
    WeightNormOptions, reference,
};

use crate::stored::rounded;

#[derive(Clone, Debug)]
pub(crate) enum Norm {
    Batch(BatchNormOptions),
    Layer(LayerNormOptions),
    Rms(RmsNormOptions),
    Group(GroupNormOptions),
    Instance(InstanceNormOptions),
    Renorm(BatchRenormOptions),
    Weight(WeightNormOptions),
}

/// Every gradient that a case has.
pub(crate) const ALL_GRADIENTS: Wanted = Wanted {
    dx: true,
    dgamma: true,
    dbeta: true,
    dresidual: true,
};

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) norm: Norm,
    pub(crate) shape: Shape,
    pub(crate) mode: Mode,
    pub(crate) gamma: bool,
    pub(crate) beta: bool,
    /// Whether a residual is added.
    pub(crate) residual: bool,
    /// What the backward is asked for, of what the case has.
    pub(crate) wanted: Wanted,
    /// For batch norm the share of elements that a mask calls valid.
    pub(crate) mask: Option<f64>,
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
    pub(crate) dresidual: Vec<T>,
}

#[derive(Clone, Debug)]
pub(crate) struct Inputs {
    pub(crate) x: Vec<f32>,
    pub(crate) dy: Vec<f32>,
    pub(crate) gamma: Vec<f32>,
    pub(crate) beta: Vec<f32>,
    pub(crate) running_mean: Vec<f32>,
    pub(crate) running_var: Vec<f32>,
    pub(crate) residual: Vec<f32>,
    /// Not 0 where the elements of a position are valid.
    pub(crate) mask: Vec<u32>,
}

/// What float64 says, and the sizes of the terms of its sums.
pub(crate) struct Expected {
    pub(crate) values: Values<f64>,
    /// y before the activation.
    pub(crate) before: Vec<f64>,
    pub(crate) std: Vec<f64>,
    pub(crate) terms: reference::Gradients,
}

macro_rules! with_options {
    ($norm:expr, $options:ident => $body:expr) => {
        match $norm {
            Norm::Batch($options) => $body,
            Norm::Layer($options) => $body,
            Norm::Rms($options) => $body,
            Norm::Group($options) => $body,
            Norm::Instance($options) => $body,
            Norm::Renorm($options) => $body,
            Norm::Weight($options) => $body,
        }
    };
}
pub(crate) use with_options;

impl Inputs {
    /// The same with this mask, and NaN wherever it calls nothing valid.
    pub(crate) fn masked(mut self, mask: Vec<u32>, case: &Case) -> Self {
        let Norm::Batch(options) = &case.norm else {
            panic!("only batch norm has masks");
        };
        for (i, position) in case.positions(options.channel_axis).into_iter().enumerate() {
            if mask[position] == 0 {
                self.x[i] = f32::NAN;
                self.dy[i] = f32::NAN;
                self.residual[i] = f32::NAN;
            }
        }
        Self { mask, ..self }
    }
}

impl Case {
    pub(crate) fn new(norm: Norm, shape: impl Into<Shape>) -> Self {
        let has_beta = !matches!(norm, Norm::Weight(_));
        let mode = if matches!(norm, Norm::Renorm(_) | Norm::Batch(_)) {
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
            residual: false,
            wanted: ALL_GRADIENTS,
            mask: None,
            offset: 0.3,
            seed: 1,
            dtype: DType::F32,
        }
    }

    pub(crate) fn planned(mut self, plan: PlanOptions) -> Self {
        with_options!(&mut self.norm, options => options.plan = plan);
        self
    }

    /// The case with an activation behind its norm, and a residual before that.
    pub(crate) fn tailed(mut self, activation: Activation, residual: bool) -> Self {
        match &mut self.norm {
            Norm::Batch(options) => options.activation = activation,
            Norm::Layer(options) => options.activation = activation,
            Norm::Rms(options) => options.activation = activation,
            Norm::Group(options) => options.activation = activation,
            Norm::Instance(options) => options.activation = activation,
            Norm::Renorm(options) => options.activation = activation,
            Norm::Weight(_) => panic!("nothing follows the norm of a weight"),
        }
        Self { residual, ..self }
    }

    pub(crate) fn has_relu(&self) -> bool {
        let activation = match &self.norm {
            Norm::Batch(options) => options.activation,
            Norm::Layer(options) => options.activation,
            Norm::Rms(options) => options.activation,
            Norm::Group(options) => options.activation,
            Norm::Instance(options) => options.activation,
            Norm::Renorm(options) => options.activation,
            Norm::Weight(_) => Activation::None,
        };
        activation == Activation::Relu
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
    pub(crate) fn statistics(&self) -> Vec<usize> {
        let (shape, gamma, beta) = (&self.shape, None, None);
        match &self.norm {
            Norm::Layer(options) => self.layer(options, gamma, beta).statistics(),
            Norm::Rms(options) => self.rms(options, gamma, beta).statistics(),
            Norm::Group(options) => self.group(options, gamma, beta).statistics(),
            Norm::Instance(options) => self.instance(options, gamma, beta).statistics(),
            Norm::Batch(options) => reference::channels(shape, options.channel_axis).collect(),
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
            Norm::Batch(options) => (dims[options.channel_axis], dims[options.channel_axis]),
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
        let residual = statistics.iter().map(|_| normal() as f32).collect();
        let f32s = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
        let inputs = Inputs {
            x: rounded(x, self.dtype),
            dy: rounded(dy, self.dtype),
            gamma: f32s(gamma),
            beta: f32s(beta),
            running_mean: f32s(running_mean),
            running_var: f32s(running_var),
            residual: rounded(residual, self.dtype),
            mask: Vec::new(),
        };
        let positions = self.shape.numel() / channels.max(1);
        let mut valid = |share: f64| u32::from(rng.random_range(0.0..1.0) < share);
        match self.mask {
            Some(share) => inputs.masked((0..positions).map(|_| valid(share)).collect(), self),
            None => inputs,
        }
    }

    /// The positions of all elements: their places apart from their channels.
    pub(crate) fn positions(&self, axis: usize) -> Vec<usize> {
        let inner: usize = self.shape.dims()[axis + 1..].iter().product();
        let row = inner * self.shape.dims()[axis];
        let elements = 0..self.shape.numel();
        elements.map(|i| i / row * inner + i % inner).collect()
    }

    /// Without what a mask calls invalid.
    fn valid(&self, values: Vec<f64>, inputs: &Inputs) -> Vec<f64> {
        let (Norm::Batch(options), Some(_)) = (&self.norm, self.mask) else {
            return values;
        };
        let positions = self.positions(options.channel_axis);
        let valid = positions.iter().map(|&position| inputs.mask[position] != 0);
        let cleared = values.into_iter().zip(valid);
        cleared
            .map(|(value, valid)| if valid { value } else { 0.0 })
            .collect()
    }

    /// What float64 says, with dy reduced to what passed by the y that came out: near 0 another rounding
    /// of y may let another element pass.
    pub(crate) fn expected_with_tail(&self, inputs: &Inputs, y: &[f32]) -> Expected {
        let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
        let residual = wide(&inputs.residual);
        let tail = reference::Tail {
            residual: self.residual.then_some(&residual),
            relu: self.has_relu(),
        };
        let passed = self.valid(tail.gate(&wide(y), &wide(&inputs.dy)), inputs);
        let mut expected = self.expected(&Inputs {
            dy: passed.iter().map(|&v| v as f32).collect(),
            ..inputs.clone()
        });
        let before = reference::Tail {
            relu: false,
            ..tail
        };
        expected.before = self.valid(before.apply(&expected.values.y), inputs);
        expected.values.y = self.valid(tail.apply(&expected.values.y), inputs);
        expected.values.dresidual = if self.residual { passed } else { vec![] };
        expected
    }

    /// Values of each statistic.
    pub(crate) fn values(&self) -> usize {
        let count = self.statistics().iter().max().map_or(1, |most| most + 1);
        self.shape.numel() / count
    }

    /// Whether every statistic has the two values that make a variance.
    pub(crate) fn has_values(&self) -> bool {
        self.values() > 1
    }
}
