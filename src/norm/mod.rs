//! The norms: one public type each, over the functional layer.

mod checks;
mod conventions;
mod cost;
pub mod functional;
mod gradients;
mod layer;
mod layer_state;
mod layers;
mod numbers;
mod options;
mod planning;
mod relatives;
mod saved;
mod spec;
pub mod spectral;
mod weight;

pub use functional::SavedStatistics;
pub use layer::Norm;
pub use layer_state::Restore;
pub use layers::{
    BatchNorm, BatchRenorm, GroupNorm, InstanceNorm, LayerNorm, RenormSchedule, RmsNorm,
};
pub use options::{Activation, BatchNormOptions, Mode, Momentum, RunningVariance, Statistics};
pub use relatives::{
    BatchRenormOptions, GroupNormOptions, InstanceNormOptions, LayerNormOptions, RmsNormOptions,
    WeightNormOptions,
};
pub use saved::{Gradients, Saved, Wanted, WantedGradients};
pub use spectral::{SpectralNorm, SpectralNormOptions, SpectralSaved};
pub use weight::{WeightGradients, WeightNorm};
