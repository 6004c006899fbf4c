//! The options of the norms beside batch norm; every default is PyTorch's.

use super::options::{Activation, Momentum, RunningVariance};
use super::spec::{Kind, Spec, Specify, channels_along, checked_eps};
use crate::plan::{Gains, PlanOptions, Reduction};
use crate::{Error, Result, Shape, View};

/// Options of [`LayerNorm`](super::LayerNorm): mean and variance of each row, which has the elements of
/// the last `normalized_dims` dimensions. Ba, Kiros & Hinton 2016.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerNormOptions {
    /// How many trailing dimensions are normalized over. gamma and beta have an element for each of
    /// their elements.
    pub normalized_dims: usize,
    /// What is added to the variance before its root.
    pub eps: f64,
    /// What follows the norm.
    pub activation: Activation,
    /// Overrides of the planner, for tests and measurements.
    pub plan: PlanOptions,
}

impl Default for LayerNormOptions {
    fn default() -> Self {
        Self {
            normalized_dims: 1,
            eps: 1e-5,
            activation: Activation::default(),
            plan: PlanOptions::default(),
        }
    }
}

impl Specify for LayerNormOptions {
    fn specify(&self, shape: &Shape) -> Result<Spec> {
        let spec = rows(
            Kind::Plain,
            shape,
            self.normalized_dims,
            self.eps,
            self.plan,
        );
        Ok(spec?.followed_by(self.activation))
    }

    fn expected(&self, parameters: &Shape) -> String {
        last_dimensions(parameters)
    }
}

/// Options of [`RmsNorm`](super::RmsNorm): `x / sqrt(mean(x²) + eps)` over each row. No mean is
/// subtracted. Zhang & Sennrich 2019.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsNormOptions {
    /// How many trailing dimensions are normalized over. gamma has an element for each of their
    /// elements.
    pub normalized_dims: usize,
    /// What is added to the mean square before its root; f32's epsilon by default.
    pub eps: f64,
    /// What follows the norm.
    pub activation: Activation,
    /// Overrides of the planner, for tests and measurements.
    pub plan: PlanOptions,
}

impl Default for RmsNormOptions {
    fn default() -> Self {
        Self {
            normalized_dims: 1,
            eps: f64::from(f32::EPSILON),
            activation: Activation::default(),
            plan: PlanOptions::default(),
        }
    }
}

impl Specify for RmsNormOptions {
    fn specify(&self, shape: &Shape) -> Result<Spec> {
        let spec = rows(
            Kind::MeanSquare,
            shape,
            self.normalized_dims,
            self.eps,
            self.plan,
        );
        Ok(spec?.followed_by(self.activation))
    }

    fn expected(&self, parameters: &Shape) -> String {
        last_dimensions(parameters)
    }
}

fn last_dimensions(parameters: &Shape) -> String {
    format!("{parameters} as its last dimensions")
}

fn rows(kind: Kind, shape: &Shape, dims: usize, eps: f64, plan: PlanOptions) -> Result<Spec> {
    let reduction = Reduction {
        gains: Gains::Elements,
        ..Reduction::of_slots(View::rows(shape, dims)?)
    };
    let normalized = &shape.dims()[shape.rank() - dims..];
    Ok(Spec {
        parameters: Shape::from(normalized),
        ..Spec::plain(
            kind,
            reduction,
            shape.rank() - dims,
            checked_eps(eps)?,
            plan,
        )
    })
}

/// Options of [`GroupNorm`](super::GroupNorm): mean and variance of each group of channels of a sample;
/// dimension 0 counts the samples. Wu & He 2018.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNormOptions {
    /// How many groups the channels are dealt to, neighbours together; it divides their number.
    pub groups: usize,
    /// The dimension of x that counts the channels, from 0: 1 is channels first, the last one
    /// channels last.
    pub channel_axis: usize,
    /// What is added to the variance before its root.
    pub eps: f64,
    /// What follows the norm.
    pub activation: Activation,
    /// Overrides of the planner, for tests and measurements.
    pub plan: PlanOptions,
}

/// 32 groups are the paper's choice.
impl Default for GroupNormOptions {
    fn default() -> Self {
        Self {
            groups: 32,
            channel_axis: 1,
            eps: 1e-5,
            activation: Activation::default(),
            plan: PlanOptions::default(),
        }
    }
}

impl Specify for GroupNormOptions {
    fn specify(&self, shape: &Shape) -> Result<Spec> {
        let view = View::samples(shape, self.channel_axis)?;
        if self.groups == 0 || !view.count.is_multiple_of(self.groups) {
            return Err(Error::Option {
                name: "groups",
                expected: "a divisor of the number of channels",
                got: format!("{} for {} channels", self.groups, view.count),
            });
        }
        let reduction = Reduction {
            fan: view.count / self.groups,
            gains: Gains::Period(view.count),
            ..Reduction::of_slots(view)
        };
        Ok(Spec::plain(
            Kind::Plain,
            reduction,
            self.channel_axis,
            checked_eps(self.eps)?,
            self.plan,
        )
        .followed_by(self.activation))
    }

    fn expected(&self, parameters: &Shape) -> String {
        channels_along(self.channel_axis, parameters)
    }
}

/// Options of [`InstanceNorm`](super::InstanceNorm): mean and variance of each channel of a sample;
/// dimension 0 counts the samples. Running statistics, where there are any, follow the average over
/// the samples. Ulyanov, Vedaldi & Lempitsky 2016.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InstanceNormOptions {
    /// The dimension of x that counts the channels, from 0: 1 is channels first, the last one
    /// channels last.
    pub channel_axis: usize,
    /// What is added to the variance before its root.
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

impl Default for InstanceNormOptions {
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

impl Specify for InstanceNormOptions {
    fn specify(&self, shape: &Shape) -> Result<Spec> {
        let view = View::samples(shape, self.channel_axis)?;
        let reduction = Reduction {
            gains: Gains::Period(view.count),
            ..Reduction::of_slots(view)
        };
        Spec {
            channels: View::channels(shape, self.channel_axis)?,
            ..Spec::plain(
                Kind::Averaged,
                reduction,
                self.channel_axis,
                checked_eps(self.eps)?,
                self.plan,
            )
        }
        .followed_by(self.activation)
        .moved_by(self.momentum, self.running_variance)
    }

    fn expected(&self, parameters: &Shape) -> String {
        channels_along(self.channel_axis, parameters)
    }
}

/// Options of [`BatchRenorm`](super::BatchRenorm): batch norm whose training sees nearly what its
/// inference will: `xhat * r + d` with `r = std / running_std` and
/// `d = (mean - running_mean) / running_std` within limits, both without gradient. Ioffe 2017.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchRenormOptions {
    /// The dimension of x that counts the channels, from 0.
    pub channel_axis: usize,
    /// What is added to a variance before its root.
    pub eps: f64,
    /// r stays between `1 / r_max` and `r_max`: at least 1, which is batch norm.
    pub r_max: f64,
    /// d stays between `-d_max` and `d_max`: at least 0, which is batch norm.
    pub d_max: f64,
    /// How the running statistics move.
    pub momentum: Momentum,
    /// Which variance `running_var` follows.
    pub running_variance: RunningVariance,
    /// What follows the norm.
    pub activation: Activation,
    /// Overrides of the planner, for tests and measurements.
    pub plan: PlanOptions,
}

/// The limits are those that the paper ends with, and the new batch weighs its 0.01.
impl Default for BatchRenormOptions {
    fn default() -> Self {
        Self {
            channel_axis: 1,
            eps: 1e-5,
            r_max: 3.0,
            d_max: 5.0,
            momentum: Momentum::NewWeight(0.01),
            running_variance: RunningVariance::default(),
            activation: Activation::default(),
            plan: PlanOptions::default(),
        }
    }
}

impl Specify for BatchRenormOptions {
    fn specify(&self, shape: &Shape) -> Result<Spec> {
        // A limit beyond f32's range is none, but shaders know no infinity.
        let within = |limit: f64| (limit as f32).min(f32::MAX);
        let (r_max, d_max) = (within(self.r_max), within(self.d_max));
        let limits = [
            (
                "r_max",
                self.r_max >= 1.0,
                "a number of at least 1",
                self.r_max,
            ),
            (
                "d_max",
                self.d_max >= 0.0,
                "a number of at least 0",
                self.d_max,
            ),
        ];
        for (name, holds, expected, got) in limits {
            if !holds {
                let got = got.to_string();
                return Err(Error::Option {
                    name,
                    expected,
                    got,
                });
            }
        }
        let reduction = Reduction::of_slots(View::channels(shape, self.channel_axis)?);
        Spec::plain(
            Kind::Renorm { r_max, d_max },
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

    fn limits(&self) -> Option<[f64; 2]> {
        Some([self.r_max, self.d_max])
    }

    fn with_limits(&self, limits: Option<[f64; 2]>) -> Self {
        let [r_max, d_max] = limits.unwrap_or([self.r_max, self.d_max]);
        Self {
            r_max,
            d_max,
            ..*self
        }
    }
}

/// Options of [`WeightNorm`](super::WeightNorm): `w = g · v / ||v||`, with a length for each slice of
/// v along dimension `dim`. Salimans & Kingma 2016.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WeightNormOptions {
    /// The dimension whose every index has a length g of its own; 0 is PyTorch's, the outputs of a
    /// layer.
    pub dim: usize,
    /// Overrides of the planner, for tests and measurements.
    pub plan: PlanOptions,
}

impl Specify for WeightNormOptions {
    fn specify(&self, shape: &Shape) -> Result<Spec> {
        let reduction = Reduction::of_slots(View::channels(shape, self.dim)?);
        Ok(Spec {
            per: "one length for each slice of v",
            // A slice of zeros has no direction: w is NaN, as in PyTorch.
            ..Spec::plain(Kind::Length, reduction, self.dim, 0.0, self.plan)
        })
    }

    fn expected(&self, parameters: &Shape) -> String {
        format!("{} slices along dimension {}", parameters.numel(), self.dim)
    }
}
