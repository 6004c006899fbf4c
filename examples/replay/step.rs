//! One norm on the GPU, from the values of a file to the tensors that are written.

use wgnorm::functional::{self, Backward, Forward, NormOptions, SavedStatistics};
use wgnorm::{DType, Device, Mode, Result, Tensor};

use crate::elements::Elements;
use crate::file::{Output, Values};
use crate::ops::Operation;
use crate::running::{Averages, Running};
use crate::tensors::Tensors;

/// A forward, and a backward where there is a dy.
pub(crate) struct Step<O> {
    pub(crate) options: O,
    pub(crate) mode: Mode,
    pub(crate) tensors: Tensors,
    pub(crate) running: Option<Running>,
    pub(crate) num_batches_tracked: u32,
    pub(crate) reports: Reports,
    pub(crate) names: Names,
}

/// What is written beside y and the gradients.
#[derive(Clone, Copy, Default)]
pub(crate) struct Reports {
    /// The mean and rstd of so many channels, which normalized.
    pub(crate) statistics: Option<usize>,
    /// The running statistics after the step, where there are any, and the number of batches.
    pub(crate) averages: bool,
}

/// What the results are called.
#[derive(Clone, Copy)]
pub(crate) struct Names {
    pub(crate) y: &'static str,
    pub(crate) dx: &'static str,
    pub(crate) dweight: &'static str,
}

impl Reports {
    /// Those of a norm with statistics of channels, in training.
    pub(crate) fn of_batch(train: bool, channels: usize) -> Self {
        Self {
            statistics: train.then_some(channels),
            averages: train,
        }
    }
}

impl<O> Step<O> {
    /// A norm without running statistics.
    pub(crate) fn plain(options: O, tensors: Tensors) -> Self {
        Self {
            options,
            mode: Mode::RECOMPUTE,
            tensors,
            running: None,
            num_batches_tracked: 0,
            reports: Reports::default(),
            names: Names {
                y: "y",
                dx: "dx",
                dweight: "dweight",
            },
        }
    }

    /// A norm that may have running statistics.
    pub(crate) fn averaged(
        options: O,
        tensors: Tensors,
        averages: Averages,
        reports: Reports,
    ) -> Self {
        Self {
            mode: averages.mode(),
            num_batches_tracked: averages.num_batches_tracked,
            running: averages.running,
            reports,
            ..Self::plain(options, tensors)
        }
    }
}

/// The tensors of a step on the device.
struct OnDevice {
    x: Tensor,
    y: Tensor,
    state: Tensor,
    gamma: Option<Tensor>,
    beta: Option<Tensor>,
    residual: Option<Tensor>,
    mask: Option<Tensor>,
    running: Option<[Tensor; 2]>,
    num_batches_tracked: Tensor,
    gradients: Option<Gradients>,
}

/// dy, and what comes of it.
struct Gradients {
    dy: Tensor,
    dx: Tensor,
    dgamma: Option<Tensor>,
    dbeta: Option<Tensor>,
    dresidual: Option<Tensor>,
}

impl<O: NormOptions> Operation for Step<O> {
    fn run(&self, device: &Device) -> Result<Vec<Output>> {
        let on_device = self.upload(device)?;
        let mut recorder = device.recorder();
        let forward = on_device.forward();
        functional::forward(&mut recorder, &forward, &self.options, self.mode)?;
        if let Some(backward) = on_device.backward() {
            let statistics = self.mode.statistics;
            functional::backward(&mut recorder, &backward, &self.options, statistics)?;
        }
        recorder.submit()?;

        let mut outputs = vec![output(
            device,
            self.names.y,
            &self.tensors.x.shape,
            &on_device.y,
        )?];
        outputs.extend(self.statistics(device, &on_device)?);
        outputs.extend(self.averages(device, &on_device)?);
        outputs.extend(self.gradients(device, &on_device)?);
        Ok(outputs)
    }
}

impl<O: NormOptions> Step<O> {
    fn upload(&self, device: &Device) -> Result<OnDevice> {
        let upload = |values: &Values| values.upload(device);
        let optional = |values: &Option<Values>| values.as_ref().map(upload).transpose();
        let Tensors {
            x,
            dy,
            weight,
            bias,
            residual,
            mask,
        } = &self.tensors;
        let x = upload(x)?;
        let mask = mask
            .as_ref()
            .map(|mask| device.upload(&mask.places, &mask.shape));
        let shape = self.tensors.shape();
        let len = match mask {
            Some(_) => functional::masked_state_len(device, &shape, &self.options)?,
            None => functional::state_len(device, &shape, &self.options)?,
        };
        let gradients = dy.as_ref().map(|dy| self.upload_gradients(device, dy));
        let running = self.running.as_ref();
        let running = running.map(|r| Ok([upload(&r.mean)?, upload(&r.var)?]));
        Ok(OnDevice {
            y: device.empty(x.shape(), x.dtype())?,
            x,
            state: device.empty([len], DType::F32)?,
            gamma: optional(weight)?,
            beta: optional(bias)?,
            residual: optional(residual)?,
            mask: mask.transpose()?,
            running: running.transpose()?,
            num_batches_tracked: device.upload(&[self.num_batches_tracked], [1])?,
            gradients: gradients.transpose()?,
        })
    }

    fn upload_gradients(&self, device: &Device, dy: &Values) -> Result<Gradients> {
        let dy = dy.upload(device)?;
        let like_dy = || device.empty(dy.shape(), dy.dtype());
        let empty = |values: &Values| device.empty(&values.shape, DType::F32);
        let Tensors {
            weight,
            bias,
            residual,
            ..
        } = &self.tensors;
        Ok(Gradients {
            dx: like_dy()?,
            dgamma: weight.as_ref().map(empty).transpose()?,
            dbeta: bias.as_ref().map(empty).transpose()?,
            dresidual: residual.as_ref().map(|_| like_dy()).transpose()?,
            dy,
        })
    }

    fn statistics(&self, device: &Device, on_device: &OnDevice) -> Result<Vec<Output>> {
        let Some(count) = self.reports.statistics else {
            return Ok(Vec::new());
        };
        let state = device.download(&on_device.state)?;
        let SavedStatistics { mean, rstd } = functional::statistics(&state, count);
        Ok(vec![
            Output::floats("mean", &[count], &Elements::F32(mean)),
            Output::floats("rstd", &[count], &Elements::F32(rstd)),
        ])
    }

    fn averages(&self, device: &Device, on_device: &OnDevice) -> Result<Vec<Output>> {
        if !self.reports.averages {
            return Ok(Vec::new());
        }
        let tracked = match on_device.running {
            Some(_) => device.download::<u32>(&on_device.num_batches_tracked)?[0],
            // Where nothing is averaged the device does not count.
            None => self.num_batches_tracked + u32::from(self.tensors.count_as_batch()),
        };
        let mut outputs = vec![Output::i64("num_batches_tracked", tracked.into())];
        if let (Some(before), Some([mean, var])) = (&self.running, &on_device.running) {
            let mean = output(device, "running_mean", &before.mean.shape, mean)?;
            let var = output(device, "running_var", &before.var.shape, var)?;
            outputs.extend([mean, var]);
        }
        Ok(outputs)
    }

    fn gradients(&self, device: &Device, on_device: &OnDevice) -> Result<Vec<Output>> {
        let Some(gradients) = &on_device.gradients else {
            return Ok(Vec::new());
        };
        let Tensors {
            x,
            weight,
            bias,
            residual,
            ..
        } = &self.tensors;
        let mut outputs = vec![output(device, self.names.dx, &x.shape, &gradients.dx)?];
        for (name, tensor, input) in [
            (self.names.dweight, &gradients.dgamma, weight),
            ("dbias", &gradients.dbeta, bias),
            ("dresidual", &gradients.dresidual, residual),
        ] {
            if let (Some(tensor), Some(input)) = (tensor, input) {
                outputs.push(output(device, name, &input.shape, tensor)?);
            }
        }
        Ok(outputs)
    }
}

impl OnDevice {
    fn forward(&self) -> Forward<'_> {
        let running = self.running.as_ref();
        Forward {
            state: Some(&self.state),
            gamma: self.gamma.as_ref(),
            beta: self.beta.as_ref(),
            running: running.map(|[mean, var]| functional::Running {
                mean,
                var,
                num_batches_tracked: Some(&self.num_batches_tracked),
            }),
            residual: self.residual.as_ref(),
            mask: self.mask.as_ref(),
            ..Forward::new(&self.x, &self.y)
        }
    }

    fn backward(&self) -> Option<Backward<'_>> {
        let gradients = self.gradients.as_ref()?;
        Some(Backward {
            gamma: self.gamma.as_ref(),
            dx: Some(&gradients.dx),
            dgamma: gradients.dgamma.as_ref(),
            dbeta: gradients.dbeta.as_ref(),
            beta: self.beta.as_ref(),
            residual: self.residual.is_some(),
            masked: self.mask.is_some(),
            dresidual: gradients.dresidual.as_ref(),
            ..Backward::new(&self.x, &gradients.dy, &self.state)
        })
    }
}

pub(crate) fn output(
    device: &Device,
    name: &'static str,
    shape: &[usize],
    tensor: &Tensor,
) -> Result<Output> {
    let elements = Elements::download(device, tensor)?;
    Ok(Output::floats(name, shape, &elements))
}
