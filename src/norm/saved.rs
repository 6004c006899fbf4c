//! What a layer's forward takes beside x and leaves, and what its backward gives.

use super::functional::{self, SavedStatistics};
use super::options::Statistics;
use super::pieces::SavedPieces;
use crate::gpu::{Device, Tensor};
use crate::{Error, Result, Shape, View};

/// What a forward takes beside x, for [`Norm::forward_with`](super::Norm::forward_with).
///
/// ```no_run
/// use wgnorm::{Activation, BatchNorm, BatchNormOptions, Device, Mode, Tensor, With};
///
/// fn residual_block(device: &Device, x: &Tensor, shortcut: &Tensor) -> wgnorm::Result<Tensor> {
///     let options = BatchNormOptions { activation: Activation::Relu, ..Default::default() };
///     let norm = BatchNorm::new(device, 64, options)?;
///     let mut step = device.recorder();
///     let with = With { residual: Some(shortcut), ..With::default() };
///     let (y, saved) = norm.forward_with(&mut step, x, with, Mode::TRAIN)?; // relu(norm(x) + shortcut)
///     let gradients = norm.backward(&mut step, x, &y, &saved)?; // dx, dgamma, dbeta and dresidual
///     step.submit()?;
///     Ok(gradients.dx)
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct With<'a> {
    /// What is added to the norm before the activation of the options: of x's shape and type.
    pub residual: Option<&'a Tensor>,
    /// For batch norm which elements are valid: u32, not 0 where they are, of x's shape without its
    /// channels. What is not valid may be NaN, counts in nothing and becomes 0.
    pub mask: Option<&'a Tensor>,
}

/// What a forward leaves for its backward: a copy of the statistics that it used, and space for the
/// sums of the backward. The running statistics may move in between; gamma is read when the backward
/// runs, so an optimizer changes it afterwards.
#[derive(Clone, Debug)]
pub struct Saved {
    pub(super) state: Tensor,
    pub(super) statistics: Statistics,
    /// The x that the statistics belong to, how many of them there are, and what of.
    pub(super) shape: Shape,
    pub(super) view: View,
    pub(super) count: usize,
    pub(super) of: String,
    /// The limits of a batch renorm.
    pub(super) limits: Option<[f64; 2]>,
    /// Whether a residual was added, and whether there was a mask.
    pub(super) residual: bool,
    pub(super) masked: bool,
}

/// The gradients of a backward.
#[derive(Clone, Debug)]
pub struct Gradients {
    /// The gradient by x, shaped like it.
    pub dx: Tensor,
    /// The gradient by gamma, shaped like it, where the layer has one.
    pub dgamma: Option<Tensor>,
    /// The gradient by beta, shaped like it, where the layer has one.
    pub dbeta: Option<Tensor>,
    /// The gradient by the residual, shaped like it, where one was added.
    pub dresidual: Option<Tensor>,
}

/// Which gradients [`Norm::backward_wanted`](super::Norm::backward_wanted) computes, by default
/// none; the others cost nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "they are independent and named where they are set"
)]
pub struct Wanted {
    /// The gradient by x. The first layer of a network has nobody to give it to.
    pub dx: bool,
    /// The gradient by gamma.
    pub dgamma: bool,
    /// The gradient by beta.
    pub dbeta: bool,
    /// The gradient by the residual. Layer and RMS norm compute it whether it is wanted or not where
    /// an activation followed one.
    pub dresidual: bool,
}

/// The gradients that were wanted.
#[derive(Clone, Debug)]
pub struct WantedGradients {
    /// The gradient by x, shaped like it.
    pub dx: Option<Tensor>,
    /// The gradient by gamma, shaped like it.
    pub dgamma: Option<Tensor>,
    /// The gradient by beta, shaped like it.
    pub dbeta: Option<Tensor>,
    /// The gradient by the residual, shaped like it.
    pub dresidual: Option<Tensor>,
}

impl Saved {
    /// What a forward by the statistics of x has left in `state`.
    pub(super) fn of_batch(state: Tensor, shape: Shape, view: View) -> Self {
        Self {
            state,
            statistics: Statistics::Batch,
            shape,
            view,
            count: view.count,
            of: String::new(),
            limits: None,
            residual: false,
            masked: false,
        }
    }

    pub(super) fn state(&self) -> &Tensor {
        &self.state
    }

    /// Refuses a tensor that is not shaped as the forward's was.
    pub(super) fn expect_shape(&self, name: &'static str, shape: &Shape) -> Result<()> {
        if *shape == self.shape {
            return Ok(());
        }
        Err(Error::Shape {
            name,
            expected: format!("what the forward had: {}", self.shape),
            got: shape.clone(),
        })
    }

    /// Downloads the statistics that the forward used; waits for the GPU.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn statistics(&self, device: &Device) -> Result<SavedStatistics> {
        Ok(functional::statistics(
            &device.download(&self.state)?,
            self.count,
        ))
    }

    /// [`statistics`](Self::statistics) for where nobody may block.
    pub async fn statistics_async(&self, device: &Device) -> Result<SavedStatistics> {
        Ok(functional::statistics(
            &device.download_async(&self.state).await?,
            self.count,
        ))
    }
}

impl SavedPieces {
    /// Downloads the statistics of all pieces together; waits for the GPU.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn statistics(&self, device: &Device) -> Result<SavedStatistics> {
        let state: Vec<f32> = device.download(&self.state)?;
        Ok(functional::statistics(&state, self.count))
    }

    /// [`statistics`](Self::statistics) for where nobody may block.
    pub async fn statistics_async(&self, device: &Device) -> Result<SavedStatistics> {
        let state: Vec<f32> = device.download_async(&self.state).await?;
        Ok(functional::statistics(&state, self.count))
    }
}
