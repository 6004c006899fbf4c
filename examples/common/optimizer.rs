//! Gradient descent, plain and Adam, one parameter tensor at a time.

use std::fmt;

use ndarray::{Array, Dimension, Zip};

/// How a gradient becomes a change of its parameter.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Method {
    Sgd,
    Adam,
}

/// A method at one learning rate.
#[derive(Clone, Copy)]
pub(crate) struct Optimizer {
    pub(crate) method: Method,
    pub(crate) rate: f32,
}

/// A trained tensor, with the two running averages that Adam keeps of its gradient.
pub(crate) struct Parameter<D: Dimension> {
    pub(crate) value: Array<f32, D>,
    mean: Array<f32, D>,
    square: Array<f32, D>,
}

impl<D: Dimension> Parameter<D> {
    pub(crate) fn new(value: Array<f32, D>) -> Self {
        Self {
            mean: Array::zeros(value.raw_dim()),
            square: Array::zeros(value.raw_dim()),
            value,
        }
    }

    /// Takes training step number `step`, which counts from one.
    pub(crate) fn update(&mut self, gradient: &Array<f32, D>, optimizer: Optimizer, step: i32) {
        match optimizer.method {
            Method::Sgd => self.value.scaled_add(-optimizer.rate, gradient),
            Method::Adam => self.adam(gradient, optimizer.rate, step),
        }
    }

    fn adam(&mut self, gradient: &Array<f32, D>, rate: f32, step: i32) {
        const OLD_MEAN: f32 = 0.9;
        const OLD_SQUARE: f32 = 0.999;
        const EPS: f32 = 1e-8;
        // Both averages start at zero and would be too small at first without the correction.
        let mean_correction = 1.0 / (1.0 - OLD_MEAN.powi(step));
        let square_correction = 1.0 / (1.0 - OLD_SQUARE.powi(step));
        Zip::from(&mut self.value)
            .and(&mut self.mean)
            .and(&mut self.square)
            .and(gradient)
            .for_each(|value, mean, square, &g| {
                *mean = OLD_MEAN * *mean + (1.0 - OLD_MEAN) * g;
                *square = OLD_SQUARE * *square + (1.0 - OLD_SQUARE) * g * g;
                *value -=
                    rate * (*mean * mean_correction) / ((*square * square_correction).sqrt() + EPS);
            });
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sgd => "SGD",
            Self::Adam => "Adam",
        })
    }
}

impl fmt::Display for Optimizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.rate)
    }
}
