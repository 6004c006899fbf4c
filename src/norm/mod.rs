//! The norms: one public type each, over the functional layer.

mod checks;
mod cost;
pub mod functional;
mod gradients;
mod layer;
mod layers;
pub mod moments;
mod numbers;
mod options;
mod planning;
mod relatives;
mod spec;
pub mod spectral;
mod weight;

pub use functional::SavedStatistics;
pub use layer::{Gradients, Norm, Saved, Wanted, WantedGradients};
pub use layers::{
    BatchNorm, BatchRenorm, GroupNorm, InstanceNorm, LayerNorm, RenormSchedule, RmsNorm,
};
pub use moments::Moment;
pub use options::{BatchNormOptions, Mode, Momentum, RunningVariance, Statistics};
pub use relatives::{
    BatchRenormOptions, GroupNormOptions, InstanceNormOptions, LayerNormOptions, RmsNormOptions,
    WeightNormOptions,
};
pub use spectral::{SpectralNorm, SpectralNormOptions, SpectralSaved};
pub use weight::{WeightGradients, WeightNorm};
