//! The norms: one public type each, over the functional layer.

mod batch;
mod checks;
mod cost;
pub mod functional;
mod options;
mod planning;
pub mod spectral;

pub use batch::{BatchNorm, Gradients, Saved, Wanted, WantedGradients};
pub use functional::SavedStatistics;
pub use options::{BatchNormOptions, Mode, Momentum, RunningVariance, Statistics};
pub use spectral::{SpectralNorm, SpectralNormOptions, SpectralSaved};
