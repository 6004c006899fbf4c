//! A forward and a backward whose tensors a test spoils one at a time.

use wgnorm::functional::{self, Backward, Forward, Running};
use wgnorm::{BatchNormOptions, Device, Error, Mode, Recorder, Statistics, Tensor};

/// The tensors of a forward and backward over x [4, 3], to be spoilt one at a time.
pub(crate) struct Tensors<'d> {
    pub(crate) device: &'d Device,
    pub(crate) x: Tensor,
    pub(crate) y: Tensor,
    pub(crate) dy: Tensor,
    pub(crate) state: Tensor,
    pub(crate) gamma: Tensor,
    pub(crate) beta: Tensor,
    pub(crate) mean: Tensor,
    pub(crate) var: Tensor,
    pub(crate) tracked: Tensor,
    pub(crate) options: BatchNormOptions,
    pub(crate) mode: Mode,
}

impl<'d> Tensors<'d> {
    pub(crate) fn new(device: &'d Device) -> Self {
        let full = || device.upload(&[1.0f32; 12], [4, 3]).unwrap();
        let channel = || device.upload(&[1.0f32; 3], [3]).unwrap();
        Self {
            device,
            x: full(),
            y: full(),
            dy: full(),
            state: device.upload(&[0.0f32; 64], [64]).unwrap(),
            gamma: channel(),
            beta: channel(),
            mean: channel(),
            var: channel(),
            tracked: device.upload(&[0u32], [1]).unwrap(),
            options: BatchNormOptions::default(),
            mode: Mode::TRAIN,
        }
    }

    pub(crate) fn forward(&self) -> Result<(), Error> {
        let mut recorder = self.device.recorder();
        self.record_forward(&mut recorder)?;
        recorder.submit()
    }

    pub(crate) fn record_forward(&self, recorder: &mut Recorder<'_>) -> Result<(), Error> {
        let running = Running {
            mean: &self.mean,
            var: &self.var,
            num_batches_tracked: Some(&self.tracked),
        };
        let tensors = Forward {
            state: Some(&self.state),
            gamma: Some(&self.gamma),
            beta: Some(&self.beta),
            running: Some(running),
            ..Forward::new(&self.x, &self.y)
        };
        functional::forward(recorder, &tensors, &self.options, self.mode)
    }

    pub(crate) fn backward(&self) -> Result<(), Error> {
        let tensors = Backward {
            gamma: Some(&self.gamma),
            dx: Some(&self.y),
            dgamma: Some(&self.mean),
            dbeta: Some(&self.var),
            ..Backward::new(&self.x, &self.dy, &self.state)
        };
        let mut recorder = self.device.recorder();
        functional::backward(&mut recorder, &tensors, &self.options, Statistics::Batch)?;
        recorder.submit()
    }
}

/// Asserts that the error's message has all of these parts.
pub(crate) fn expect<T>(result: Result<T, Error>, parts: &[&str]) -> Error {
    let Err(error) = result else {
        panic!("expected an error with {parts:?}")
    };
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
    error
}
