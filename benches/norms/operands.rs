//! The tensors of a case, and its operations on them.

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use wgnorm::functional::{Backward, Forward, Running};
use wgnorm::{DType, Mode, Recorder, Result, Shape, Tensor, reference};

use crate::case::{Case, Op};
use crate::norm::Options;
use crate::pieces::Pieces;
use crate::stored::{self, rounded};
use crate::way::Way;

/// The inputs of a case on the host.
pub(crate) struct Inputs {
    pub(crate) x: Vec<f32>,
    pub(crate) dy: Vec<f32>,
    pub(crate) gamma: Vec<f32>,
    pub(crate) beta: Vec<f32>,
    pub(crate) running_mean: Vec<f32>,
    pub(crate) running_var: Vec<f32>,
    /// Empty where none is added.
    pub(crate) residual: Vec<f32>,
    /// Which positions are valid; empty where all are.
    pub(crate) mask: Vec<bool>,
}

/// How many of the positions a mask calls valid.
const VALID: f64 = 0.75;

impl Inputs {
    /// Normal values whose mean and std differ by channel.
    pub(crate) fn random(case: &Case, seed: u64) -> Self {
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut uniform = |low: f32, high: f32| -> Vec<f32> {
            let draws = 0..case.channels();
            draws.map(|_| rng.random_range(low..high)).collect()
        };
        let (std, mean) = (uniform(0.5, 2.0), uniform(-1.0, 1.0));
        let (gamma, beta) = (uniform(0.5, 1.5), uniform(-0.5, 0.5));
        let (running_mean, running_var) = (uniform(-0.5, 0.5), uniform(0.5, 2.0));
        let mut normal = || -> f32 { StandardNormal.sample(&mut rng) };
        let shape = case.device_shape();
        let channels = reference::channels(&shape, case.channel_axis());
        let x = channels.map(|c| std[c] * normal() + mean[c]);
        let x = rounded(x.collect(), case.dtype);
        // A mean of its own keeps sum dy from cancelling.
        let dy = (0..shape.numel()).map(|_| normal() + 0.5);
        let dy = rounded(dy.collect(), case.dtype);
        let added = if case.tail.has_residual() {
            shape.numel()
        } else {
            0
        };
        let residual = (0..added).map(|_| normal());
        let residual = rounded(residual.collect(), case.dtype);
        let positions = if case.way == Way::Masked { case.n() } else { 0 };
        let mask = (0..positions).map(|_| rng.random_bool(VALID)).collect();
        Self {
            x,
            dy,
            gamma,
            beta,
            running_mean,
            running_var,
            residual,
            mask,
        }
    }
}

/// All tensors that the operations of a case use.
pub(crate) struct Operands {
    options: Options,
    has_running: bool,
    pub(crate) x: Tensor,
    pub(crate) dy: Tensor,
    pub(crate) y: Tensor,
    pub(crate) dx: Tensor,
    pub(crate) state: Tensor,
    gamma: Tensor,
    beta: Tensor,
    pub(crate) running_mean: Tensor,
    pub(crate) running_var: Tensor,
    pub(crate) tracked: Tensor,
    pub(crate) dgamma: Tensor,
    pub(crate) dbeta: Tensor,
    pub(crate) residual: Option<Residual>,
    mask: Option<Tensor>,
    pieces: Option<Pieces>,
}

/// What a residual brings along.
pub(crate) struct Residual {
    pub(crate) added: Tensor,
    pub(crate) gradient: Tensor,
}

impl Operands {
    pub(crate) fn upload(device: &wgnorm::Device, case: &Case, inputs: &Inputs) -> Result<Self> {
        let (shape, options) = (&case.device_shape(), case.options());
        let channels = [case.channels()];
        let vector = |values: &[f32]| device.upload(values, channels);
        let activation = |values: &[f32]| {
            let tensor = device.empty(shape, case.dtype)?;
            stored::write(device, &tensor, values)?;
            Ok(tensor)
        };
        let len = case.state_len(device)?;
        let (x, dy) = (activation(&inputs.x)?, activation(&inputs.dy)?);
        let y = device.empty(shape, case.dtype)?;
        let dx = device.empty(shape, case.dtype)?;
        let pieces = (case.way == Way::Pieces)
            .then(|| Pieces::of(device, case, [&x, &dy, &y, &dx]))
            .transpose()?;
        Ok(Self {
            state: device.empty([len], DType::F32)?,
            gamma: vector(&inputs.gamma)?,
            beta: vector(&inputs.beta)?,
            running_mean: vector(&inputs.running_mean)?,
            running_var: vector(&inputs.running_var)?,
            tracked: device.upload(&[0u32], [1])?,
            dgamma: device.empty(channels, DType::F32)?,
            dbeta: device.empty(channels, DType::F32)?,
            residual: Residual::upload(device, case, inputs)?,
            mask: mask(device, case, inputs)?,
            pieces,
            has_running: case.has_running(),
            options,
            x,
            dy,
            y,
            dx,
        })
    }

    /// The same, of the whole batch, on the activations of another, so that both find them equally warm.
    pub(crate) fn sharing(self, other: &Self) -> Self {
        Self {
            x: other.x.clone(),
            dy: other.dy.clone(),
            y: other.y.clone(),
            dx: other.dx.clone(),
            ..self
        }
    }

    pub(crate) fn record(&self, recorder: &mut Recorder<'_>, op: Op) -> Result<()> {
        match op {
            // What is valid is kept in the state.
            Op::Inference if self.mask.is_some() => {
                self.forward(recorder, Mode::EVAL, Some(&self.state))
            }
            Op::Inference => self.forward(recorder, Mode::EVAL, None),
            Op::Forward if self.has_running => {
                self.forward(recorder, Mode::TRAIN, Some(&self.state))
            }
            Op::Forward => self.forward(recorder, Mode::RECOMPUTE, Some(&self.state)),
            Op::Backward => self.backward(recorder),
        }
    }

    fn forward(
        &self,
        recorder: &mut Recorder<'_>,
        mode: Mode,
        state: Option<&Tensor>,
    ) -> Result<()> {
        let tensors = Forward {
            state,
            gamma: Some(&self.gamma),
            beta: Some(&self.beta),
            running: self.has_running.then_some(Running {
                mean: &self.running_mean,
                var: &self.running_var,
                num_batches_tracked: Some(&self.tracked),
            }),
            residual: self.residual.as_ref().map(|residual| &residual.added),
            mask: self.mask.as_ref(),
            ..Forward::new(&self.x, &self.y)
        };
        match &self.pieces {
            Some(pieces) => pieces.forward(recorder, &tensors, &self.state),
            None => self.options.forward(recorder, &tensors, mode),
        }
    }

    fn backward(&self, recorder: &mut Recorder<'_>) -> Result<()> {
        let tensors = Backward {
            gamma: Some(&self.gamma),
            dx: Some(&self.dx),
            dgamma: Some(&self.dgamma),
            dbeta: Some(&self.dbeta),
            beta: Some(&self.beta),
            residual: self.residual.is_some(),
            dresidual: self.residual.as_ref().map(|residual| &residual.gradient),
            masked: self.mask.is_some(),
            ..Backward::new(&self.x, &self.dy, &self.state)
        };
        match &self.pieces {
            Some(pieces) => pieces.backward(recorder, &tensors),
            None => self.options.backward(recorder, &tensors),
        }
    }
}

/// The mask as an operation takes it, where the case has one: shaped like x without its channels.
fn mask(device: &wgnorm::Device, case: &Case, inputs: &Inputs) -> Result<Option<Tensor>> {
    if case.way != Way::Masked {
        return Ok(None);
    }
    let mut dims = case.device_shape().dims().to_vec();
    dims.remove(case.channel_axis());
    let words: Vec<u32> = inputs.mask.iter().copied().map(u32::from).collect();
    device.upload(&words, Shape::from(dims)).map(Some)
}

impl Residual {
    fn upload(device: &wgnorm::Device, case: &Case, inputs: &Inputs) -> Result<Option<Self>> {
        if !case.tail.has_residual() {
            return Ok(None);
        }
        let shape = &case.device_shape();
        let added = device.empty(shape, case.dtype)?;
        stored::write(device, &added, &inputs.residual)?;
        Ok(Some(Self {
            added,
            gradient: device.empty(shape, case.dtype)?,
        }))
    }
}
