//! The options that a framework's values were trained with.

use super::options::{BatchNormOptions, Momentum, RunningVariance};
use super::relatives::{GroupNormOptions, LayerNormOptions};
use crate::state::Convention;

/// The framework's defaults: its eps, how its running statistics move and which variance they follow.
///
/// ```
/// use wgnorm::state::Convention;
/// use wgnorm::{BatchNormOptions, Momentum, RunningVariance};
///
/// let keras = BatchNormOptions {
///     channel_axis: 3, // images as Keras has them
///     ..BatchNormOptions::from(Convention::Keras)
/// };
/// assert_eq!(keras.eps, 1e-3);
/// assert_eq!(keras.momentum, Momentum::OldWeight(0.99));
/// assert_eq!(keras.running_variance, RunningVariance::Biased);
/// ```
impl From<Convention> for BatchNormOptions {
    fn from(convention: Convention) -> Self {
        let (eps, momentum, running_variance) = match convention {
            Convention::PyTorch => (1e-5, Momentum::NewWeight(0.1), RunningVariance::Unbiased),
            Convention::Keras => (1e-3, Momentum::OldWeight(0.99), RunningVariance::Biased),
            Convention::Flax => (1e-5, Momentum::OldWeight(0.99), RunningVariance::Biased),
            Convention::Burn => (1e-5, Momentum::NewWeight(0.1), RunningVariance::Biased),
        };
        Self {
            eps,
            momentum,
            running_variance,
            ..Self::default()
        }
    }
}

/// The framework's eps.
impl From<Convention> for LayerNormOptions {
    fn from(convention: Convention) -> Self {
        Self {
            eps: eps_of_samples(convention),
            ..Self::default()
        }
    }
}

/// The framework's eps.
impl From<Convention> for GroupNormOptions {
    fn from(convention: Convention) -> Self {
        Self {
            eps: eps_of_samples(convention),
            ..Self::default()
        }
    }
}

/// The eps of the norms that do not look beyond a sample.
fn eps_of_samples(convention: Convention) -> f64 {
    match convention {
        Convention::PyTorch | Convention::Burn => 1e-5,
        Convention::Keras => 1e-3,
        Convention::Flax => 1e-6,
    }
}
