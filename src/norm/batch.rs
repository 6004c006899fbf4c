//! Batch norm as a layer that owns its parameters and allocates its outputs from the pool.

use super::functional::{self, Backward, Forward, Running, SavedStatistics};
use super::options::{BatchNormOptions, Mode, Statistics};
use crate::gpu::{DType, Device, Recorder, Tensor};
use crate::{Error, Result, Shape, View};

/// Batch normalization over the channels of a tensor.
///
/// The mean and the *biased* variance of each channel normalize it; `running_var` follows the
/// *unbiased* one, and the momentum of 0.1 is the weight of the *new* batch, all as in PyTorch and
/// each a type in [`BatchNormOptions`] for those who come from elsewhere. Channels lie along
/// dimension 1 unless the options say so.
///
/// The layer's tensors live on the device and change when recorded commands run: a step that was
/// recorded and never submitted counts for nothing. Read them with
/// [`Device::download`], set them with [`Device::write`]. A clone is another handle to the same
/// layer, not a copy of its values.
#[derive(Clone, Debug)]
pub struct BatchNorm {
    channels: usize,
    options: BatchNormOptions,
    gamma: Option<Tensor>,
    beta: Option<Tensor>,
    running: Option<RunningTensors>,
}

#[derive(Clone, Debug)]
struct RunningTensors {
    mean: Tensor,
    var: Tensor,
    num_batches_tracked: Tensor,
}

/// What a forward leaves for its backward: a copy of the statistics that it used, and space for the
/// sums of the backward. The running statistics may move in between; gamma is read when the backward
/// runs, so an optimizer changes it afterwards.
#[derive(Clone, Debug)]
pub struct Saved {
    state: Tensor,
    statistics: Statistics,
    /// The x that the statistics belong to.
    shape: Shape,
    view: View,
}

/// The gradients of a backward.
#[derive(Clone, Debug)]
pub struct Gradients {
    /// The gradient by x, shaped like it.
    pub dx: Tensor,
    /// The gradient by gamma, `[C]`, where the layer has one.
    pub dgamma: Option<Tensor>,
    /// The gradient by beta, `[C]`, where the layer has one.
    pub dbeta: Option<Tensor>,
}

/// Which gradients [`BatchNorm::backward_wanted`] computes; the others cost nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The gradient by x. The first layer of a network has nobody to give it to.
    pub dx: bool,
    /// The gradient by gamma.
    pub dgamma: bool,
    /// The gradient by beta.
    pub dbeta: bool,
}

/// The gradients that were wanted.
#[derive(Clone, Debug)]
pub struct WantedGradients {
    /// The gradient by x, shaped like it.
    pub dx: Option<Tensor>,
    /// The gradient by gamma, `[C]`.
    pub dgamma: Option<Tensor>,
    /// The gradient by beta, `[C]`.
    pub dbeta: Option<Tensor>,
}

impl BatchNorm {
    /// A layer for that many channels with gamma 1, beta 0, running mean 0 and running variance 1.
    pub fn new(device: &Device, channels: usize, options: BatchNormOptions) -> Result<Self> {
        options.checked_eps()?;
        options.momentum.weights()?;
        if channels == 0 {
            let expected = "at least 1".to_owned();
            return Err(Error::Shape {
                name: "channels",
                expected,
                got: Shape::from([0]),
            });
        }
        let filled = |value: f32| {
            // The device refuses what is too large before the host has to hold it.
            let tensor = device.empty([channels], DType::F32)?;
            device.write(&tensor, &vec![value; channels])?;
            Ok::<_, Error>(tensor)
        };
        Ok(Self {
            channels,
            options,
            gamma: Some(filled(1.0)?),
            beta: Some(filled(0.0)?),
            running: Some(RunningTensors {
                mean: filled(0.0)?,
                var: filled(1.0)?,
                num_batches_tracked: device.upload(&[0u32], [1])?,
            }),
        })
    }

    /// The same layer without gamma, which then counts as 1.
    #[must_use]
    pub fn without_gamma(self) -> Self {
        Self {
            gamma: None,
            ..self
        }
    }

    /// The same layer without beta, which then counts as 0.
    #[must_use]
    pub fn without_beta(self) -> Self {
        Self { beta: None, ..self }
    }

    /// The same layer without running statistics: inference then uses those of its batch.
    #[must_use]
    pub fn without_running_statistics(self) -> Self {
        Self {
            running: None,
            ..self
        }
    }

    /// The number of channels.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The options of the layer.
    #[must_use]
    pub fn options(&self) -> &BatchNormOptions {
        &self.options
    }

    /// The scale, `[C]`.
    #[must_use]
    pub fn gamma(&self) -> Option<&Tensor> {
        self.gamma.as_ref()
    }

    /// The shift, `[C]`.
    #[must_use]
    pub fn beta(&self) -> Option<&Tensor> {
        self.beta.as_ref()
    }

    /// The running mean, `[C]`.
    #[must_use]
    pub fn running_mean(&self) -> Option<&Tensor> {
        self.running.as_ref().map(|running| &running.mean)
    }

    /// The running variance, `[C]`.
    #[must_use]
    pub fn running_var(&self) -> Option<&Tensor> {
        self.running.as_ref().map(|running| &running.var)
    }

    /// How many batches moved the running statistics: u32, `[1]`.
    #[must_use]
    pub fn num_batches_tracked(&self) -> Option<&Tensor> {
        self.running
            .as_ref()
            .map(|running| &running.num_batches_tracked)
    }

    /// Training: normalizes by the batch's statistics and moves the running ones, where there are
    /// any. Returns y and what the backward needs.
    ///
    /// Fails with [`Error::OneValuePerChannel`] for an x with one value per channel.
    pub fn forward_train(
        &self,
        recorder: &mut Recorder<'_>,
        x: &Tensor,
    ) -> Result<(Tensor, Saved)> {
        let mode = Mode {
            update_running: self.running.is_some(),
            ..Mode::TRAIN
        };
        self.forward(recorder, x, mode)
    }

    /// Inference: normalizes by the running statistics, in one dispatch that keeps nothing.
    /// Without running statistics it normalizes by those of the batch.
    pub fn infer(&self, recorder: &mut Recorder<'_>, x: &Tensor) -> Result<Tensor> {
        let y = recorder.device().empty(x.shape(), x.dtype())?;
        self.infer_to(recorder, x, &y)?;
        Ok(y)
    }

    /// [`infer`](Self::infer) that overwrites x with y.
    pub fn infer_in_place(&self, recorder: &mut Recorder<'_>, x: &Tensor) -> Result<()> {
        self.infer_to(recorder, x, x)
    }

    /// A forward in any of the four modes, with what a backward needs: frozen layers
    /// ([`Mode::EVAL`]), recomputation of a checkpointed step ([`Mode::RECOMPUTE`]) and more.
    pub fn forward(
        &self,
        recorder: &mut Recorder<'_>,
        x: &Tensor,
        mode: Mode,
    ) -> Result<(Tensor, Saved)> {
        let view = self.check(x)?;
        let state = self.state(recorder.device(), x)?;
        let y = recorder.device().empty(x.shape(), x.dtype())?;
        self.record(recorder, x, &y, Some(&state), mode)?;
        let saved = Saved {
            state,
            statistics: mode.statistics,
            shape: x.shape().clone(),
            view,
        };
        Ok((y, saved))
    }

    /// The gradients by x and by the parameters that the layer has. x is the one of the forward,
    /// unchanged.
    pub fn backward(
        &self,
        recorder: &mut Recorder<'_>,
        x: &Tensor,
        dy: &Tensor,
        saved: &Saved,
    ) -> Result<Gradients> {
        let dx = recorder.device().empty(x.shape(), x.dtype())?;
        let wanted = Wanted {
            dx: true,
            dgamma: self.gamma.is_some(),
            dbeta: self.beta.is_some(),
        };
        let (dgamma, dbeta) = self.record_backward(recorder, (x, dy, saved), Some(&dx), wanted)?;
        Ok(Gradients { dx, dgamma, dbeta })
    }

    /// A backward of which only some gradients are wanted.
    pub fn backward_wanted(
        &self,
        recorder: &mut Recorder<'_>,
        x: &Tensor,
        dy: &Tensor,
        saved: &Saved,
        wanted: Wanted,
    ) -> Result<WantedGradients> {
        let empty = || recorder.device().empty(x.shape(), x.dtype());
        let dx = wanted.dx.then(empty).transpose()?;
        let (dgamma, dbeta) =
            self.record_backward(recorder, (x, dy, saved), dx.as_ref(), wanted)?;
        Ok(WantedGradients { dx, dgamma, dbeta })
    }

    fn infer_to(&self, recorder: &mut Recorder<'_>, x: &Tensor, y: &Tensor) -> Result<()> {
        self.check(x)?;
        if self.running.is_some() {
            return self.record(recorder, x, y, None, Mode::EVAL);
        }
        let state = self.state(recorder.device(), x)?;
        self.record(recorder, x, y, Some(&state), Mode::RECOMPUTE)
    }

    fn record(
        &self,
        recorder: &mut Recorder<'_>,
        x: &Tensor,
        y: &Tensor,
        state: Option<&Tensor>,
        mode: Mode,
    ) -> Result<()> {
        let tensors = Forward {
            x,
            y,
            state,
            gamma: self.gamma.as_ref(),
            beta: self.beta.as_ref(),
            running: self.running.as_ref().map(|running| Running {
                mean: &running.mean,
                var: &running.var,
                num_batches_tracked: Some(&running.num_batches_tracked),
            }),
        };
        functional::forward(recorder, &tensors, &self.options, mode)
    }

    fn record_backward(
        &self,
        recorder: &mut Recorder<'_>,
        (x, dy, saved): (&Tensor, &Tensor, &Saved),
        dx: Option<&Tensor>,
        wanted: Wanted,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let view = self.check(x)?;
        if (x.shape(), view) != (&saved.shape, saved.view) {
            let expected = format!(
                "what the forward had: {} with {} channels",
                saved.shape, saved.view.count
            );
            return Err(Error::Shape {
                name: "x",
                expected,
                got: x.shape().clone(),
            });
        }
        let parameter = |wanted: bool| -> Result<Option<Tensor>> {
            let empty = || recorder.device().empty([self.channels], DType::F32);
            wanted.then(empty).transpose()
        };
        let (dgamma, dbeta) = (parameter(wanted.dgamma)?, parameter(wanted.dbeta)?);
        let tensors = Backward {
            x,
            dy,
            state: &saved.state,
            gamma: self.gamma.as_ref(),
            dx,
            dgamma: dgamma.as_ref(),
            dbeta: dbeta.as_ref(),
        };
        functional::backward(recorder, &tensors, &self.options, saved.statistics)?;
        Ok((dgamma, dbeta))
    }

    /// Refuses an x whose channels are not this layer's, in the words of the one who called it.
    fn check(&self, x: &Tensor) -> Result<View> {
        let axis = self.options.channel_axis;
        let view = View::channels(x.shape(), axis)?;
        if view.count == self.channels {
            return Ok(view);
        }
        let expected = format!("{} channels along dimension {axis}", self.channels);
        Err(Error::Shape {
            name: "x",
            expected,
            got: x.shape().clone(),
        })
    }

    fn state(&self, device: &Device, x: &Tensor) -> Result<Tensor> {
        let len = functional::state_len(device, x.shape(), &self.options)?;
        device.empty([len], DType::F32)
    }
}

impl Saved {
    /// Downloads the statistics that the forward used; waits for the GPU.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn statistics(&self, device: &Device) -> Result<SavedStatistics> {
        Ok(functional::statistics(
            &device.download(&self.state)?,
            self.view.count,
        ))
    }

    /// [`statistics`](Self::statistics) for where nobody may block.
    pub async fn statistics_async(&self, device: &Device) -> Result<SavedStatistics> {
        Ok(functional::statistics(
            &device.download_async(&self.state).await?,
            self.view.count,
        ))
    }
}
