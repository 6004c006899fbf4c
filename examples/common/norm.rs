//! A norm as a layer of a network whose other layers live on the CPU. This is where the network
//! meets wgnorm.
//!
//! A network that keeps its activations on the GPU would hand tensors on and record many layers
//! into one recorder. Here every call goes to the GPU and back.

use std::error::Error;

use ndarray::{Array1, Array2, Ix1};
use wgnorm::functional::{self, Forward, NormOptions, Running};
use wgnorm::{
    BatchNorm, BatchNormOptions, BatchRenorm, BatchRenormOptions, DType, Device, GroupNorm,
    GroupNormOptions, LayerNorm, LayerNormOptions, Mode, Momentum, Recorder, RenormSchedule, Saved,
    Tensor,
};

use super::optimizer::{Optimizer, Parameter};

/// Divides both hidden layers of the digits' network.
const GROUPS: usize = 5;

/// Which norm a network has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Batch,
    Layer,
    Group,
    /// Batch renorm whose limits widen over the training.
    Renorm(RenormSchedule),
}

impl Kind {
    fn build(self, device: &Device, channels: usize) -> wgnorm::Result<Box<dyn Normalize>> {
        Ok(match self {
            Self::Batch => {
                let options = BatchNormOptions::default();
                Box::new(BatchNorm::new(device, channels, options)?)
            }
            Self::Layer => {
                let options = LayerNormOptions::default();
                Box::new(LayerNorm::new(device, [channels], options)?)
            }
            Self::Group => {
                let options = GroupNormOptions {
                    groups: GROUPS,
                    ..GroupNormOptions::default()
                };
                Box::new(GroupNorm::new(device, channels, options)?)
            }
            Self::Renorm(schedule) => {
                // The paper's 0.01 needs more steps than these trainings have.
                let options = BatchRenormOptions {
                    momentum: Momentum::default(),
                    ..BatchRenormOptions::default()
                };
                let norm = BatchRenorm::new(device, channels, options)?;
                Box::new(Scheduled { norm, schedule })
            }
        })
    }
}

/// What the network asks of a norm, whichever it is: all of them are a `wgnorm::Norm<Options>`.
trait Normalize {
    fn prepare(&mut self, step: u64);
    fn forward_train(&self, gpu: &mut Recorder<'_>, x: &Tensor) -> wgnorm::Result<(Tensor, Saved)>;
    fn infer(&self, gpu: &mut Recorder<'_>, x: &Tensor) -> wgnorm::Result<Tensor>;
    fn backward(
        &self,
        gpu: &mut Recorder<'_>,
        tensors: (&Tensor, &Tensor, &Saved),
    ) -> wgnorm::Result<wgnorm::Gradients>;
    fn gamma_and_beta(&self) -> Option<[&Tensor; 2]>;
    fn running_statistics(&self) -> Option<[&Tensor; 2]>;
}

impl<O: NormOptions> Normalize for wgnorm::Norm<O> {
    fn prepare(&mut self, _step: u64) {}

    fn forward_train(&self, gpu: &mut Recorder<'_>, x: &Tensor) -> wgnorm::Result<(Tensor, Saved)> {
        self.forward_train(gpu, x)
    }

    fn infer(&self, gpu: &mut Recorder<'_>, x: &Tensor) -> wgnorm::Result<Tensor> {
        self.infer(gpu, x)
    }

    fn backward(
        &self,
        gpu: &mut Recorder<'_>,
        (x, dy, saved): (&Tensor, &Tensor, &Saved),
    ) -> wgnorm::Result<wgnorm::Gradients> {
        self.backward(gpu, x, dy, saved)
    }

    fn gamma_and_beta(&self) -> Option<[&Tensor; 2]> {
        Some([self.gamma()?, self.beta()?])
    }

    fn running_statistics(&self) -> Option<[&Tensor; 2]> {
        Some([self.running_mean()?, self.running_var()?])
    }
}

/// A batch renorm that takes its limits from a schedule.
struct Scheduled {
    norm: BatchRenorm,
    schedule: RenormSchedule,
}

impl Normalize for Scheduled {
    fn prepare(&mut self, step: u64) {
        self.norm.set_limits(self.schedule.at(step));
    }

    fn forward_train(&self, gpu: &mut Recorder<'_>, x: &Tensor) -> wgnorm::Result<(Tensor, Saved)> {
        self.norm.forward_train(gpu, x)
    }

    fn infer(&self, gpu: &mut Recorder<'_>, x: &Tensor) -> wgnorm::Result<Tensor> {
        self.norm.infer(gpu, x)
    }

    fn backward(
        &self,
        gpu: &mut Recorder<'_>,
        (x, dy, saved): (&Tensor, &Tensor, &Saved),
    ) -> wgnorm::Result<wgnorm::Gradients> {
        self.norm.backward(gpu, x, dy, saved)
    }

    fn gamma_and_beta(&self) -> Option<[&Tensor; 2]> {
        self.norm.gamma_and_beta()
    }

    fn running_statistics(&self) -> Option<[&Tensor; 2]> {
        self.norm.running_statistics()
    }
}

/// A norm over the columns, or the rows, of a batch.
pub(crate) struct Norm<'d> {
    device: &'d Device,
    /// Owns gamma, beta and the running statistics, all on the GPU.
    layer: Box<dyn Normalize>,
    /// The optimizer runs on the CPU, so it works on copies that are written back after each step.
    gamma: Parameter<Ix1>,
    beta: Parameter<Ix1>,
}

/// What a training forward leaves for its backward: its input, still on the GPU, and the
/// statistics.
pub(crate) struct Trace {
    x: Tensor,
    saved: Saved,
}

/// The gradients of gamma and beta.
pub(crate) struct Gradients {
    dgamma: Array1<f32>,
    dbeta: Array1<f32>,
}

impl<'d> Norm<'d> {
    pub(crate) fn new(
        device: &'d Device,
        kind: Kind,
        channels: usize,
    ) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            device,
            layer: kind.build(device, channels)?,
            // A new layer has gamma = 1 and beta = 0.
            gamma: Parameter::new(Array1::ones(channels)),
            beta: Parameter::new(Array1::zeros(channels)),
        })
    }

    /// Normalizes as in training; batch norm by the statistics of this batch, which the running
    /// statistics take in.
    pub(crate) fn forward_train(
        &self,
        x: &Array2<f32>,
    ) -> Result<(Array2<f32>, Trace), Box<dyn Error>> {
        let x = self.upload(x)?;
        let mut gpu = self.device.recorder();
        let (y, saved) = self.layer.forward_train(&mut gpu, &x)?;
        gpu.submit()?;
        let y = self.download(&y)?;
        Ok((y, Trace { x, saved }))
    }

    /// From the loss's gradient by the output to its gradient by the input, by gamma and by beta.
    pub(crate) fn backward(
        &self,
        trace: &Trace,
        dy: &Array2<f32>,
    ) -> Result<(Array2<f32>, Gradients), Box<dyn Error>> {
        let dy = self.upload(dy)?;
        let mut gpu = self.device.recorder();
        let tensors = (&trace.x, &dy, &trace.saved);
        let grads = self.layer.backward(&mut gpu, tensors)?;
        gpu.submit()?;
        let (Some(dgamma), Some(dbeta)) = (&grads.dgamma, &grads.dbeta) else {
            return Err("these norms train gamma and beta".into());
        };
        let gradients = Gradients {
            dgamma: self.device.download(dgamma)?.into(),
            dbeta: self.device.download(dbeta)?.into(),
        };
        Ok((self.download(&grads.dx)?, gradients))
    }

    /// Normalizes as in inference; batch norm by the running statistics, so that a digit's answer
    /// does not depend on which others it is asked with.
    pub(crate) fn infer(&self, x: &Array2<f32>) -> Result<Array2<f32>, Box<dyn Error>> {
        let x = self.upload(x)?;
        let mut gpu = self.device.recorder();
        let y = self.layer.infer(&mut gpu, &x)?;
        gpu.submit()?;
        self.download(&y)
    }

    /// Sets the running statistics to those of x, whatever they were, and normalizes by them. The
    /// functional layer works on the tensors of a layer with options of its own: here the new batch
    /// has all the weight.
    pub(crate) fn recalibrate(&self, x: &Array2<f32>) -> Result<Array2<f32>, Box<dyn Error>> {
        let (Some([mean, var]), Some([gamma, beta])) =
            (self.layer.running_statistics(), self.layer.gamma_and_beta())
        else {
            return self.infer(x);
        };
        let options = BatchNormOptions {
            momentum: Momentum::NewWeight(1.0),
            ..BatchNormOptions::default()
        };
        let x = self.upload(x)?;
        let y = self.device.empty(x.shape(), DType::F32)?;
        let len = functional::state_len(self.device, x.shape(), &options)?;
        let state = self.device.empty([len], DType::F32)?;
        let forward = Forward {
            state: Some(&state),
            gamma: Some(gamma),
            beta: Some(beta),
            running: Some(Running {
                mean,
                var,
                num_batches_tracked: None,
            }),
            ..Forward::new(&x, &y)
        };
        let mut gpu = self.device.recorder();
        functional::forward(&mut gpu, &forward, &options, Mode::TRAIN)?;
        gpu.submit()?;
        self.download(&y)
    }

    /// The running variance of each channel, where the norm has one.
    pub(crate) fn running_var(&self) -> Result<Option<Vec<f32>>, Box<dyn Error>> {
        let running = self.layer.running_statistics();
        let download = |[_, var]: [&Tensor; 2]| self.device.download(var);
        Ok(running.map(download).transpose()?)
    }

    /// Takes training step number `step`, which counts from one.
    pub(crate) fn update(
        &mut self,
        gradients: &Gradients,
        optimizer: Optimizer,
        step: i32,
    ) -> Result<(), Box<dyn Error>> {
        self.gamma.update(&gradients.dgamma, optimizer, step);
        self.beta.update(&gradients.dbeta, optimizer, step);
        let on_gpu = self.layer.gamma_and_beta();
        let on_gpu = on_gpu.ok_or("these norms have gamma and beta")?;
        for (on_gpu, copy) in on_gpu.into_iter().zip([&self.gamma, &self.beta]) {
            let host = copy.value.as_slice().ok_or("a parameter is contiguous")?;
            self.device.write(on_gpu, host)?;
        }
        self.layer.prepare(step.unsigned_abs().into());
        Ok(())
    }

    fn upload(&self, rows: &Array2<f32>) -> Result<Tensor, Box<dyn Error>> {
        // The GPU wants rows one after the other; an array that already is so is not copied.
        let rows = rows.as_standard_layout();
        let host = rows.as_slice().ok_or("the standard layout is a slice")?;
        Ok(self.device.upload(host, [rows.nrows(), rows.ncols()])?)
    }

    fn download(&self, rows: &Tensor) -> Result<Array2<f32>, Box<dyn Error>> {
        let columns = self.gamma.value.len();
        let host = self.device.download(rows)?;
        let shape = (host.len() / columns, columns);
        Ok(Array2::from_shape_vec(shape, host)?)
    }
}
