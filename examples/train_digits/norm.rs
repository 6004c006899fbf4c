//! Batch norm as a layer of a network whose other layers live on the CPU. This is the only file
//! of the example that calls wgnorm.
//!
//! A network that keeps its activations on the GPU would hand tensors on and record many layers
//! into one recorder. Here every call goes to the GPU and back.

use std::error::Error;

use ndarray::{Array1, Array2, Ix1};
use wgnorm::{BatchNorm, BatchNormOptions, Device, Saved, Tensor};

use crate::optimizer::{Optimizer, Parameter};

/// Batch norm over the columns of a batch.
pub(crate) struct Norm<'d> {
    device: &'d Device,
    /// Owns gamma, beta and the running statistics, all on the GPU.
    bn: BatchNorm,
    /// The optimizer runs on the CPU, so it works on copies that are written back after each step.
    gamma: Parameter<Ix1>,
    beta: Parameter<Ix1>,
}

/// What a training forward leaves for its backward: its input, still on the GPU, and the batch's
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
    pub(crate) fn new(device: &'d Device, channels: usize) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            device,
            bn: BatchNorm::new(device, channels, BatchNormOptions::default())?,
            // A new layer has gamma = 1 and beta = 0.
            gamma: Parameter::new(Array1::ones(channels)),
            beta: Parameter::new(Array1::zeros(channels)),
        })
    }

    /// Normalizes by the statistics of this batch, which the running statistics take in.
    pub(crate) fn forward_train(
        &self,
        x: &Array2<f32>,
    ) -> Result<(Array2<f32>, Trace), Box<dyn Error>> {
        let x = self.upload(x)?;
        let mut step = self.device.recorder();
        let (y, saved) = self.bn.forward_train(&mut step, &x)?;
        step.submit()?;
        let y = self.download(&y, self.gamma.value.len())?;
        Ok((y, Trace { x, saved }))
    }

    /// From the loss's gradient by the output to its gradient by the input, by gamma and by beta.
    pub(crate) fn backward(
        &self,
        trace: &Trace,
        dy: &Array2<f32>,
    ) -> Result<(Array2<f32>, Gradients), Box<dyn Error>> {
        let dy = self.upload(dy)?;
        let mut step = self.device.recorder();
        let grads = self.bn.backward(&mut step, &trace.x, &dy, &trace.saved)?;
        step.submit()?;
        let (Some(dgamma), Some(dbeta)) = (&grads.dgamma, &grads.dbeta) else {
            return Err("the default options train gamma and beta".into());
        };
        let gradients = Gradients {
            dgamma: self.device.download(dgamma)?.into(),
            dbeta: self.device.download(dbeta)?.into(),
        };
        let dx = self.download(&grads.dx, self.gamma.value.len())?;
        Ok((dx, gradients))
    }

    /// Normalizes by the running statistics, so that a digit's answer does not depend on which
    /// others it is asked with.
    pub(crate) fn infer(&self, x: &Array2<f32>) -> Result<Array2<f32>, Box<dyn Error>> {
        let x = self.upload(x)?;
        let mut step = self.device.recorder();
        let y = self.bn.infer(&mut step, &x)?;
        step.submit()?;
        self.download(&y, self.gamma.value.len())
    }

    pub(crate) fn update(
        &mut self,
        gradients: &Gradients,
        optimizer: Optimizer,
        step: i32,
    ) -> Result<(), Box<dyn Error>> {
        self.gamma.update(&gradients.dgamma, optimizer, step);
        self.beta.update(&gradients.dbeta, optimizer, step);
        for (on_gpu, copy) in [(self.bn.gamma(), &self.gamma), (self.bn.beta(), &self.beta)] {
            let on_gpu = on_gpu.ok_or("the default options have gamma and beta")?;
            let host = copy.value.as_slice().ok_or("a parameter is contiguous")?;
            self.device.write(on_gpu, host)?;
        }
        Ok(())
    }

    fn upload(&self, rows: &Array2<f32>) -> Result<Tensor, Box<dyn Error>> {
        // The GPU wants rows one after the other; an array that already is so is not copied.
        let rows = rows.as_standard_layout();
        let host = rows.as_slice().ok_or("the standard layout is a slice")?;
        Ok(self.device.upload(host, [rows.nrows(), rows.ncols()])?)
    }

    fn download(&self, rows: &Tensor, columns: usize) -> Result<Array2<f32>, Box<dyn Error>> {
        let host = self.device.download(rows)?;
        Ok(Array2::from_shape_vec(
            (host.len() / columns, columns),
            host,
        )?)
    }
}
