//! What the options of any norm make of a shape: all that an operation has to know of its norm.

use super::options::{Activation, Momentum, RunningVariance, Statistics};
use crate::gpu::DType;
use crate::plan::{Gains, PlanOptions, Reduction};
use crate::{Error, Result, Shape, View};

/// The options of a norm that the [functional layer](super::functional) can run. Sealed: the kernels
/// serve the norms of this crate.
pub trait NormOptions: Specify + std::fmt::Debug {}

impl<O: Specify + std::fmt::Debug> NormOptions for O {}

/// How options are read.
#[allow(
    unreachable_pub,
    reason = "a public trait may not have a private supertrait, so this one is unnameable"
)]
pub trait Specify: Clone {
    /// What the norm is for an x of that shape; an error for options or a shape that it cannot have.
    #[doc(hidden)]
    fn specify(&self, shape: &Shape) -> Result<Spec>;

    /// What x a layer with parameters of that shape expects, in words.
    #[doc(hidden)]
    fn expected(&self, parameters: &Shape) -> String;

    /// `r_max` and `d_max` where the norm has them.
    #[doc(hidden)]
    fn limits(&self) -> Option<[f64; 2]> {
        None
    }

    /// The same options with the limits that a forward had.
    #[doc(hidden)]
    #[must_use]
    fn with_limits(&self, _limits: Option<[f64; 2]>) -> Self {
        self.clone()
    }
}

/// What a norm with parameters for channels along a dimension expects.
pub(super) fn channels_along(axis: usize, parameters: &Shape) -> String {
    format!("{} channels along dimension {axis}", parameters.numel())
}

/// A norm for one shape.
#[derive(Clone, Debug)]
#[allow(unreachable_pub, reason = "as for `Specify`")]
pub struct Spec {
    pub(super) reduction: Reduction,
    /// The channel axis, or the first dimension that is normalized over.
    pub(super) axis: usize,
    /// How running statistics see x.
    pub(super) channels: View,
    /// Samples of a sub-batch, of which x must have a whole number where it has statistics of its own.
    pub(super) sub_batch: Option<usize>,
    /// The shape of gamma and beta, and what they have an element for.
    pub(super) parameters: Shape,
    pub(super) per: &'static str,
    pub(super) kind: Kind,
    pub(super) eps: f32,
    /// The weights of the old running value and of the new batch.
    pub(super) weights: (f32, f32),
    pub(super) momentum: Momentum,
    pub(super) running_variance: RunningVariance,
    pub(super) activation: Activation,
    pub(super) plan: PlanOptions,
}

/// What is special about a norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// It has running statistics of its slots, and needs more than one value for each.
    Running,
    /// Running statistics that are the average over samples.
    Averaged,
    /// Corrected towards the running statistics by no more than these.
    Renorm { r_max: f32, d_max: f32 },
    /// Mean and variance, never running.
    Plain,
    /// The root of the mean square.
    MeanSquare,
    /// The root of the sum of squares.
    Length,
}

impl Spec {
    /// A norm without running statistics.
    pub(super) fn plain(
        kind: Kind,
        reduction: Reduction,
        axis: usize,
        eps: f32,
        plan: PlanOptions,
    ) -> Self {
        let view = reduction.view;
        let (parameters, per) = match reduction.gains {
            Gains::Elements => (view.inner, "one element for each that is normalized over"),
            Gains::Period(gains) => (gains, PER_CHANNEL),
            _ => (view.count, PER_CHANNEL),
        };
        Self {
            reduction,
            axis,
            channels: view,
            sub_batch: None,
            parameters: Shape::from([parameters]),
            per,
            kind,
            eps,
            weights: (0.0, 0.0),
            momentum: Momentum::default(),
            running_variance: RunningVariance::default(),
            activation: Activation::None,
            plan,
        }
    }

    /// The same norm with an activation behind it.
    pub(super) fn followed_by(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// The same norm with running statistics that move like this.
    pub(super) fn moved_by(
        self,
        momentum: Momentum,
        running_variance: RunningVariance,
    ) -> Result<Self> {
        Ok(Self {
            weights: momentum.weights()?,
            momentum,
            running_variance,
            ..self
        })
    }

    /// The same norm of activations of that type.
    pub(super) fn of_type(self, dtype: DType) -> Self {
        let reduction = Reduction {
            dtype,
            ..self.reduction
        };
        Self { reduction, ..self }
    }

    /// The same norm as it is by running statistics: that of the channels.
    pub(super) fn running(&self) -> Self {
        Self {
            reduction: Reduction {
                dtype: self.reduction.dtype,
                ..Reduction::of_slots(self.channels)
            },
            sub_batch: None,
            kind: Kind::Running,
            ..self.clone()
        }
    }

    /// An error for an x that is no whole number of sub-batches.
    pub(super) fn check_sub_batches(&self, shape: &Shape) -> Result<()> {
        let whole = |samples| shape.dims().first().is_some_and(|n| n % samples == 0);
        match self.sub_batch {
            Some(samples) if !whole(samples) => Err(Error::Shape {
                name: "x",
                expected: format!("a multiple of {samples} along dimension 0, whole sub-batches"),
                got: shape.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Elements of a statistic.
    pub(super) fn n(&self) -> usize {
        let view = self.reduction.view;
        view.slot_len().saturating_mul(self.reduction.fan)
    }

    /// What the kernels divide sums by.
    pub(super) fn divisor(&self) -> f32 {
        match self.kind {
            Kind::Length => 1.0,
            _ => self.n() as f32,
        }
    }

    /// Vectors of the state before its partials.
    pub(super) fn saved(&self) -> usize {
        let statistics = self.reduction.view.slots() / self.reduction.fan;
        if self.is_renorm() {
            statistics.saturating_mul(2)
        } else {
            statistics
        }
    }

    /// How many statistics a forward by these leaves for its backward.
    pub(super) fn statistics(&self, statistics: Statistics) -> usize {
        match statistics {
            Statistics::Running => self.channels.count,
            Statistics::Batch => self.reduction.view.slots() / self.reduction.fan,
        }
    }

    /// Whether there may be running statistics.
    pub(super) fn can_run(&self) -> bool {
        matches!(
            self.kind,
            Kind::Running | Kind::Averaged | Kind::Renorm { .. }
        )
    }

    pub(super) fn is_renorm(&self) -> bool {
        matches!(self.kind, Kind::Renorm { .. })
    }

    pub(super) fn has_no_mean(&self) -> bool {
        matches!(self.kind, Kind::MeanSquare | Kind::Length)
    }
}

const PER_CHANNEL: &str = "one element per channel of x";

/// The eps that the kernels use, or an error for one that is no positive f32.
pub(super) fn checked_eps(eps: f64) -> Result<f32> {
    let rounded = eps as f32;
    if rounded > 0.0 && rounded.is_normal() {
        return Ok(rounded);
    }
    let expected = "a positive number within f32's range";
    Err(Error::Option {
        name: "eps",
        expected,
        got: eps.to_string(),
    })
}
