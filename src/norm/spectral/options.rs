//! What a spectral norm can be told; every default is PyTorch's.

use crate::gpu::DeviceClass;
use crate::{Error, Result};

/// Options of [`SpectralNorm`](super::SpectralNorm) and of its [functional layer](super::functional).
/// The defaults are those of `torch.nn.utils.parametrizations.spectral_norm`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpectralNormOptions {
    /// The dimension of the weight that counts the rows of W, from 0: outputs. 0 for linear layers and
    /// convolutions, 1 for transposed convolutions.
    pub dim: usize,
    /// Power iterations of a training step; with 0 training does what evaluation does.
    pub power_iterations: u32,
    /// What a norm counts for where it is less; a positive number within f32's normal range.
    pub eps: f64,
    /// The class of device to plan for, where it is not the device's own: for tests and measurements.
    pub class: Option<DeviceClass>,
}

impl Default for SpectralNormOptions {
    fn default() -> Self {
        Self {
            dim: 0,
            power_iterations: 1,
            eps: 1e-12,
            class: None,
        }
    }
}

impl SpectralNormOptions {
    /// The eps that the kernels use, or an error for one that is no positive f32.
    pub(super) fn checked_eps(&self) -> Result<f32> {
        let eps = self.eps as f32;
        if eps > 0.0 && eps.is_normal() {
            return Ok(eps);
        }
        Err(Error::Option {
            name: "eps",
            expected: "a positive number within f32's range",
            got: self.eps.to_string(),
        })
    }
}
