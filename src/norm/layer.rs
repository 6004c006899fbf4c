//! A norm as a layer that owns its parameters and allocates its outputs from the pool.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::checks;
use super::functional::{self, Backward, Forward, Running};
use super::numbers::is_gated;
use super::options::Mode;
use super::planning::state_len_of;
use super::saved::{Gradients, Saved, Wanted, WantedGradients, With};
use super::spec::{NormOptions, Spec};
use crate::gpu::{DType, Device, Recorder, Tensor};
use crate::plan::Gains;
use crate::{Error, Result, Shape};

/// A norm that owns its parameters; [`BatchNorm`](super::BatchNorm) and its relatives are this with
/// their options.
///
/// The layer's tensors live on the device and change when recorded commands run: a step that was
/// recorded and never submitted counts for nothing. Read them with
/// [`Device::download`], set them with [`Device::write`]. A clone is another handle to the same
/// layer, not a copy of its values.
#[derive(Clone, Debug)]
pub struct Norm<O> {
    pub(super) parameters: Shape,
    pub(super) options: O,
    gamma: Option<Tensor>,
    beta: Option<Tensor>,
    pub(super) running: Option<RunningTensors>,
    /// Whether its statistics stay, for all handles to the layer.
    pub(super) frozen: Arc<AtomicBool>,
    /// Whether the layer has said that its batches are small.
    warned: Arc<AtomicBool>,
}

#[derive(Clone, Debug)]
pub(super) struct RunningTensors {
    pub(super) mean: Tensor,
    pub(super) var: Tensor,
    pub(super) num_batches_tracked: Tensor,
}

impl RunningTensors {
    pub(super) fn borrowed(&self) -> Running<'_> {
        Running {
            mean: &self.mean,
            var: &self.var,
            num_batches_tracked: Some(&self.num_batches_tracked),
        }
    }
}

impl<O: NormOptions> Norm<O> {
    /// A layer without parameters for a gamma and beta of that shape; an error for options that no
    /// input of the shape `example` could have.
    pub(super) fn bare(parameters: Shape, options: O, example: &Shape) -> Result<Self> {
        options.specify(example)?;
        Ok(Self {
            parameters,
            options,
            gamma: None,
            beta: None,
            running: None,
            frozen: Arc::default(),
            warned: Arc::default(),
        })
    }

    /// The same layer with a gamma of 1.
    pub fn with_gamma(self, device: &Device) -> Result<Self> {
        let gamma = Some(filled(device, &self.parameters, 1.0)?);
        Ok(Self { gamma, ..self })
    }

    /// The same layer with a beta of 0.
    pub fn with_beta(self, device: &Device) -> Result<Self> {
        let beta = Some(filled(device, &self.parameters, 0.0)?);
        Ok(Self { beta, ..self })
    }

    pub(super) fn with_running(self, device: &Device) -> Result<Self> {
        let running = Some(RunningTensors {
            mean: filled(device, &self.parameters, 0.0)?,
            var: filled(device, &self.parameters, 1.0)?,
            num_batches_tracked: device.upload(&[0u32], [1])?,
        });
        Ok(Self { running, ..self })
    }

    pub(super) fn without_running(self) -> Self {
        Self {
            running: None,
            ..self
        }
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

    /// The options of the layer.
    #[must_use]
    pub fn options(&self) -> &O {
        &self.options
    }

    /// The scale: `[C]`, or the normalized shape for layer and RMS norm.
    #[must_use]
    pub fn gamma(&self) -> Option<&Tensor> {
        self.gamma.as_ref()
    }

    /// The shift, shaped like the scale.
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

    /// Training: normalizes by the statistics of x and moves the running ones, where there are
    /// any; a [frozen](super::Freeze) layer does neither. Returns y and what the backward needs.
    ///
    /// Batch, renorm and instance norm fail with [`Error::OneValuePerChannel`] for an x with one value
    /// for each of their statistics, and log a warning, once for each layer, where there are fewer than
    /// 8: see the [guide](crate::guide).
    pub fn forward_train(
        &self,
        recorder: &mut Recorder<'_>,
        x: &Tensor,
    ) -> Result<(Tensor, Saved)> {
        self.forward(recorder, x, self.train_mode())
    }

    /// Inference: normalizes by the running statistics, in one dispatch that keeps nothing.
    /// Without running statistics it normalizes by those of x.
    pub fn infer(&self, recorder: &mut Recorder<'_>, x: &Tensor) -> Result<Tensor> {
        let y = recorder.device().empty(x.shape(), x.dtype())?;
        self.infer_to(recorder, x, With::default(), &y)?;
        Ok(y)
    }

    /// [`infer`](Self::infer) with a residual or a mask.
    pub fn infer_with(
        &self,
        recorder: &mut Recorder<'_>,
        x: &Tensor,
        with: With<'_>,
    ) -> Result<Tensor> {
        let y = recorder.device().empty(x.shape(), x.dtype())?;
        self.infer_to(recorder, x, with, &y)?;
        Ok(y)
    }

    /// [`infer`](Self::infer) that overwrites x with y.
    pub fn infer_in_place(&self, recorder: &mut Recorder<'_>, x: &Tensor) -> Result<()> {
        self.infer_to(recorder, x, With::default(), x)
    }

    /// A forward in any of the four modes, with what a backward needs: frozen layers
    /// ([`Mode::EVAL`]), recomputation of a checkpointed step ([`Mode::RECOMPUTE`]) and more.
    pub fn forward(
        &self,
        recorder: &mut Recorder<'_>,
        x: &Tensor,
        mode: Mode,
    ) -> Result<(Tensor, Saved)> {
        self.forward_with(recorder, x, With::default(), mode)
    }

    /// [`forward`](Self::forward) with a residual or a mask. Its [`backward`](Self::backward) knows.
    pub fn forward_with(
        &self,
        recorder: &mut Recorder<'_>,
        x: &Tensor,
        with: With<'_>,
        mode: Mode,
    ) -> Result<(Tensor, Saved)> {
        let spec = self.check(x)?;
        let state = self.new_state(recorder.device(), x, with)?;
        let y = recorder.device().empty(x.shape(), x.dtype())?;
        self.record(recorder, [x, &y], with, Some(&state), mode)?;
        checks::warn_of_few_values(&self.warned, x.shape(), &spec, mode);
        let saved = Saved {
            state,
            statistics: mode.statistics,
            shape: x.shape().clone(),
            view: spec.channels,
            count: spec.statistics(mode.statistics),
            of: self.options.expected(&self.parameters),
            limits: self.options.limits(),
            residual: with.residual.is_some(),
            masked: with.mask.is_some(),
        };
        Ok((y, saved))
    }

    /// The gradients by x, by the parameters that the layer has and by a residual. x is the one of the
    /// forward, unchanged.
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
            dresidual: saved.residual,
        };
        let of = self.record_backward(recorder, (x, dy, saved), Some(&dx), wanted)?;
        Ok(Gradients {
            dx,
            dgamma: of.dgamma,
            dbeta: of.dbeta,
            dresidual: of.dresidual,
        })
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
        let of = self.record_backward(recorder, (x, dy, saved), dx.as_ref(), wanted)?;
        Ok(WantedGradients { dx, ..of })
    }

    fn infer_to(
        &self,
        recorder: &mut Recorder<'_>,
        x: &Tensor,
        with: With<'_>,
        y: &Tensor,
    ) -> Result<()> {
        self.check(x)?;
        let mode = if self.running.is_some() {
            Mode::EVAL
        } else {
            Mode::RECOMPUTE
        };
        if mode == Mode::EVAL && with.mask.is_none() {
            return self.record(recorder, [x, y], with, None, mode);
        }
        let state = self.new_state(recorder.device(), x, with)?;
        self.record(recorder, [x, y], with, Some(&state), mode)
    }

    fn record(
        &self,
        recorder: &mut Recorder<'_>,
        [x, y]: [&Tensor; 2],
        with: With<'_>,
        state: Option<&Tensor>,
        mode: Mode,
    ) -> Result<()> {
        let tensors = Forward {
            state,
            gamma: self.gamma.as_ref(),
            beta: self.beta.as_ref(),
            running: self.running.as_ref().map(RunningTensors::borrowed),
            residual: with.residual,
            mask: with.mask,
            ..Forward::new(x, y)
        };
        functional::forward(recorder, &tensors, &self.options, mode)
    }

    fn record_backward(
        &self,
        recorder: &mut Recorder<'_>,
        (x, dy, saved): (&Tensor, &Tensor, &Saved),
        dx: Option<&Tensor>,
        wanted: Wanted,
    ) -> Result<WantedGradients> {
        let spec = self.check(x)?;
        if (x.shape(), spec.channels) != (&saved.shape, saved.view) {
            let expected = format!("what the forward had: {} with {}", saved.shape, saved.of);
            return Err(Error::Shape {
                name: "x",
                expected,
                got: x.shape().clone(),
            });
        }
        let parameter = |wanted: bool| -> Result<Option<Tensor>> {
            let empty = || recorder.device().empty(&self.parameters, DType::F32);
            wanted.then(empty).transpose()
        };
        let (dgamma, dbeta) = (parameter(wanted.dgamma)?, parameter(wanted.dbeta)?);
        // What passed is then found in one place and used in others.
        let elsewhere = spec.reduction.gains == Gains::Elements || dx.is_none();
        let needs = elsewhere && is_gated(&spec, saved.residual);
        let empty = || recorder.device().empty(x.shape(), x.dtype());
        let dresidual = (wanted.dresidual || needs).then(empty).transpose()?;
        let tensors = Backward {
            gamma: self.gamma.as_ref(),
            beta: self.beta.as_ref(),
            residual: saved.residual,
            masked: saved.masked,
            dx,
            dgamma: dgamma.as_ref(),
            dbeta: dbeta.as_ref(),
            dresidual: dresidual.as_ref(),
            ..Backward::new(x, dy, &saved.state)
        };
        // A schedule may have moved the limits since.
        let options = self.options.with_limits(saved.limits);
        functional::backward(recorder, &tensors, &options, saved.statistics)?;
        Ok(WantedGradients {
            dx: None,
            dgamma,
            dbeta,
            dresidual: dresidual.filter(|_| wanted.dresidual),
        })
    }

    /// Refuses an x that the layer's parameters are not for, in the words of the one who called it.
    pub(super) fn check(&self, x: &Tensor) -> Result<Spec> {
        let spec = self.options.specify(x.shape())?;
        if spec.parameters == self.parameters {
            return Ok(spec);
        }
        Err(Error::Shape {
            name: "x",
            expected: self.options.expected(&self.parameters),
            got: x.shape().clone(),
        })
    }

    fn new_state(&self, device: &Device, x: &Tensor, with: With<'_>) -> Result<Tensor> {
        let len = match with.mask {
            Some(_) => functional::masked_state_len(device, x.shape(), &self.options)?,
            None => state_len_of(device, x, &self.options)?,
        };
        device.empty([len], DType::F32)
    }
}

fn filled(device: &Device, shape: &Shape, value: f32) -> Result<Tensor> {
    // The device refuses what is too large before the host has to hold it.
    let tensor = device.empty(shape, DType::F32)?;
    device.write(&tensor, &vec![value; shape.numel()])?;
    Ok(tensor)
}
