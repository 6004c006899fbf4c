//! The norms: one public type each, over the functional layer.

mod checks;
mod conventions;
mod cost;
mod freezing;
pub mod functional;
mod ghost;
mod gradients;
mod layer;
mod layer_state;
mod layers;
mod masked;
pub mod moments;
mod numbers;
mod options;
mod pieces;
mod planning;
mod recalibration;
mod relatives;
mod saved;
mod spec;
pub mod spectral;
mod weight;

pub use freezing::Freeze;
pub use functional::SavedStatistics;
pub use ghost::{GhostBatchNorm, GhostBatchNormOptions};
pub use layer::Norm;
pub use layer_state::Restore;
pub use layers::{
    BatchNorm, BatchRenorm, GroupNorm, InstanceNorm, LayerNorm, RenormSchedule, RmsNorm,
};
pub use moments::Moment;
pub use options::{Activation, BatchNormOptions, Mode, Momentum, RunningVariance, Statistics};
pub use pieces::{PieceGradients, SavedPieces};
pub use recalibration::Recalibration;
pub use relatives::{
    BatchRenormOptions, GroupNormOptions, InstanceNormOptions, LayerNormOptions, RmsNormOptions,
    WeightNormOptions,
};
pub use saved::{Gradients, Saved, Wanted, WantedGradients, With};
pub use spectral::{SpectralNorm, SpectralNormOptions, SpectralSaved};
pub use weight::{WeightGradients, WeightNorm};
