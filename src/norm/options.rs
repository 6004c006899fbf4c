//! What a batch norm can be told; every default is PyTorch's.

use super::spec::{Kind, Spec, Specify, channels_along, checked_eps};
use crate::plan::{PlanOptions, Reduction};
use crate::{Error, Result, Shape, View};

/// How much the running statistics move towards those of a batch. Systems use the one word
/// "momentum" for opposite things, so here it is a type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Momentum {
    /// The weight of the new batch: `new = (1 - m) * old + m * batch`. PyTorch, cuDNN, Burn and
    /// Candle mean this; their default is 0.1.
    NewWeight(f64),
    /// The weight of the old value: `new = m * old + (1 - m) * batch`. ONNX (0.9), Keras and Flax
    /// (0.99) mean this.
    OldWeight(f64),
    /// The plain mean over all batches so far: the weight of a batch is 1 over their number, which
    /// is counted on the device. PyTorch's `momentum=None`.
    Cumulative,
}

impl Default for Momentum {
    fn default() -> Self {
        Self::NewWeight(0.1)
    }
}

impl Momentum {
    /// The weights of the old value and of the new batch; for a cumulative mean the device knows.
    pub(super) fn weights(self) -> Result<(f32, f32)> {
        let (name, weight) = match self {
            Self::NewWeight(weight) => ("momentum (weight of the new batch)", weight),
            Self::OldWeight(weight) => ("momentum (weight of the old value)", weight),
            Self::Cumulative => return Ok((0.0, 0.0)),
        };
        if !(0.0..=1.0).contains(&weight) {
            let expected = "a number from 0 to 1";
            return Err(Error::Option {
                name,
                expected,
                got: weight.to_string(),
            });
        }
        let (given, rest) = (weight as f32, (1.0 - weight) as f32);
        Ok(match self {
            Self::OldWeight(_) => (given, rest),
            _ => (rest, given),
        })
    }
}

/// Which variance of a batch moves `running_var`. What normalizes the batch itself is always the
/// biased one, `sum (x - mean)^2 / n`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunningVariance {
    /// `sum (x - mean)^2 / (n - 1)`: PyTorch, cuDNN, Candle.
    #[default]
    Unbiased,
    /// `sum (x - mean)^2 / n`: ONNX, Keras, Flax, Burn.
    Biased,
}

impl RunningVariance {
    /// What is taken off the number of values that the squares are divided by.
    pub(super) fn uncounted(self) -> f32 {
        match self {
            Self::Unbiased => 1.0,
            Self::Biased => 0.0,
        }
    }
}

/// Which statistics normalize.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistics {
    /// Those of the batch itself.
    Batch,
    /// The running ones, as they are before the step.
    Running,
}

/// The two orthogonal switches of a forward. The four modes have names where people have names
/// for them; `Mode { statistics: Statistics::Running, update_running: true }` is the fourth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// Which statistics normalize.
    pub statistics: Statistics,
    /// Whether the batch moves the running statistics.
    pub update_running: bool,
}

impl Mode {
    /// Training: the batch normalizes and moves the running statistics.
    pub const TRAIN: Self = Self {
        statistics: Statistics::Batch,
        update_running: true,
    };
    /// Evaluation, or a frozen layer: the running statistics normalize and stay.
    pub const EVAL: Self = Self {
        statistics: Statistics::Running,
        update_running: false,
    };
    /// The batch normalizes and nothing moves: the second run of a checkpointed step, which must
    /// not count twice, or evaluation with batch statistics. Batch renorm corrects by the running
    /// statistics as they are: let it recompute first, and count in the second run.
    pub const RECOMPUTE: Self = Self {
        statistics: Statistics::Batch,
        update_running: false,
    };

    /// Whether the batch's statistics are needed, to normalize or to move the running ones.
    pub(super) fn uses_batch(self) -> bool {
        self.statistics == Statistics::Batch || self.update_running
    }
}

/// What follows a norm in the same dispatches: `y = act(norm(x) + residual)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activation {
    /// Nothing.
    #[default]
    None,
    /// `max(0, v)`, in which a NaN stays one. A gradient passes where y > 0.
    Relu,
}

/// Options of [`BatchNorm`](super::BatchNorm) and of the [functional layer](super::functional).
/// The defaults are PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNormOptions {
    /// The dimension of x that counts the channels, from 0: 1 is channels first, the last one
    /// channels last; any other works too.
    pub channel_axis: usize,
    /// What is added to the variance before its root; above 0 and not below f32's normal range,
    /// since some GPUs take what is for 0.
    pub eps: f64,
    /// How the running statistics move.
    pub momentum: Momentum,
    /// Which variance `running_var` follows.
    pub running_variance: RunningVariance,
    /// What follows the norm.
    pub activation: Activation,
    /// Overrides of the planner, for tests and measurements.
    pub plan: PlanOptions,
}

impl Default for BatchNormOptions {
    fn default() -> Self {
        Self {
            channel_axis: 1,
            eps: 1e-5,
            momentum: Momentum::default(),
            running_variance: RunningVariance::default(),
            activation: Activation::default(),
            plan: PlanOptions::default(),
        }
    }
}

impl Specify for BatchNormOptions {
    fn specify(&self, shape: &Shape) -> Result<Spec> {
        let reduction = Reduction::of_slots(View::channels(shape, self.channel_axis)?);
        Spec::plain(
            Kind::Running,
            reduction,
            self.channel_axis,
            checked_eps(self.eps)?,
            self.plan,
        )
        .followed_by(self.activation)
        .moved_by(self.momentum, self.running_variance)
    }

    fn expected(&self, parameters: &Shape) -> String {
        channels_along(self.channel_axis, parameters)
    }
}
