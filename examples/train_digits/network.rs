//! The network 64-100-50-10: dense layers on the CPU, each but the last followed by batch norm on
//! the GPU (or by nothing, to compare) and a `ReLU`.

use std::error::Error;

use ndarray::{Array1, Array2, Axis, Ix1, Ix2};
use rand_distr::{Distribution, Uniform};
use rand_pcg::Pcg64Mcg;
use wgnorm::Device;

use crate::norm::{self, Norm};
use crate::optimizer::{Optimizer, Parameter};

/// The sizes of the pixels, of the two hidden layers and of the answer.
const SIZES: [usize; 4] = [64, 100, 50, 10];

/// How many of the layers are trained: one between each two sizes.
pub(crate) const LAYERS: usize = SIZES.len() - 1;

pub(crate) struct Network<'d> {
    layers: Vec<Layer<'d>>,
}

/// One dense layer with what follows it.
struct Layer<'d> {
    weight: Parameter<Ix2>,
    /// Batch norm takes the mean away and the bias with it. It is kept all the same, so that both
    /// networks have the same dense layers.
    bias: Parameter<Ix1>,
    norm: Option<Norm<'d>>,
    relu: bool,
}

/// What the forward of one layer leaves for its backward.
pub(crate) struct Trace {
    input: Array2<f32>,
    norm: Option<norm::Trace>,
    /// The dense layer's output, before normalization.
    pub(crate) dense: Array2<f32>,
    /// The same after normalization (or unchanged, without), before the `ReLU`.
    pub(crate) normalized: Array2<f32>,
}

/// The gradients of one layer's parameters.
pub(crate) struct Gradients {
    pub(crate) weight: Array2<f32>,
    bias: Array1<f32>,
    norm: Option<norm::Gradients>,
}

impl<'d> Layer<'d> {
    /// PyTorch's default: weights and biases uniform within 1 / sqrt(inputs).
    fn new(
        inputs: usize,
        outputs: usize,
        norm: Option<Norm<'d>>,
        relu: bool,
        rng: &mut Pcg64Mcg,
    ) -> Result<Self, Box<dyn Error>> {
        let bound = 1.0 / (inputs as f32).sqrt();
        let uniform = Uniform::new_inclusive(-bound, bound)?;
        let weight = Array2::from_shape_simple_fn((inputs, outputs), || uniform.sample(rng));
        let bias = Array1::from_shape_simple_fn(outputs, || uniform.sample(rng));
        Ok(Self {
            weight: Parameter::new(weight),
            bias: Parameter::new(bias),
            norm,
            relu,
        })
    }

    fn dense(&self, input: &Array2<f32>) -> Array2<f32> {
        input.dot(&self.weight.value) + &self.bias.value
    }

    fn activate(&self, x: Array2<f32>) -> Array2<f32> {
        if self.relu {
            // The comparison lets NaN pass, which `max` would hide: a run that diverged shows it.
            x.mapv_into(|x| if x < 0.0 { 0.0 } else { x })
        } else {
            x
        }
    }

    fn forward_train(&self, input: Array2<f32>) -> Result<(Array2<f32>, Trace), Box<dyn Error>> {
        let dense = self.dense(&input);
        let (normalized, norm) = match &self.norm {
            Some(norm) => {
                let (y, trace) = norm.forward_train(&dense)?;
                (y, Some(trace))
            }
            None => (dense.clone(), None),
        };
        let output = self.activate(normalized.clone());
        let trace = Trace {
            input,
            norm,
            dense,
            normalized,
        };
        Ok((output, trace))
    }

    /// Takes the loss's gradient by the layer's output, gives the gradients of its parameters and
    /// the gradient by the dense layer's output, from which `input_gradient` goes on.
    fn backward(
        &self,
        trace: &Trace,
        mut gradient: Array2<f32>,
    ) -> Result<(Array2<f32>, Gradients), Box<dyn Error>> {
        if self.relu {
            gradient.zip_mut_with(&trace.normalized, |g, &y| {
                if y <= 0.0 {
                    *g = 0.0;
                }
            });
        }
        let mut norm_gradients = None;
        if let (Some(norm), Some(trace)) = (&self.norm, &trace.norm) {
            let (dx, gradients) = norm.backward(trace, &gradient)?;
            gradient = dx;
            norm_gradients = Some(gradients);
        }
        let gradients = Gradients {
            weight: trace.input.t().dot(&gradient),
            bias: gradient.sum_axis(Axis(0)),
            norm: norm_gradients,
        };
        Ok((gradient, gradients))
    }

    fn input_gradient(&self, gradient: &Array2<f32>) -> Array2<f32> {
        gradient.dot(&self.weight.value.t())
    }

    fn update(
        &mut self,
        gradients: &Gradients,
        optimizer: Optimizer,
        step: i32,
    ) -> Result<(), Box<dyn Error>> {
        self.weight.update(&gradients.weight, optimizer, step);
        self.bias.update(&gradients.bias, optimizer, step);
        if let (Some(norm), Some(gradients)) = (&mut self.norm, &gradients.norm) {
            norm.update(gradients, optimizer, step)?;
        }
        Ok(())
    }
}

impl<'d> Network<'d> {
    /// A network with random weights, with batch norm on the device or without.
    pub(crate) fn new(
        batch_norm: Option<&'d Device>,
        rng: &mut Pcg64Mcg,
    ) -> Result<Self, Box<dyn Error>> {
        let mut layers = Vec::with_capacity(LAYERS);
        for (index, size) in SIZES.windows(2).enumerate() {
            let hidden = index + 1 < LAYERS;
            let norm = match batch_norm {
                Some(device) if hidden => Some(Norm::new(device, size[1])?),
                _ => None,
            };
            layers.push(Layer::new(size[0], size[1], norm, hidden, rng)?);
        }
        Ok(Self { layers })
    }

    /// The logits of a batch to learn from, and what `backward` needs, layer by layer.
    pub(crate) fn forward_train(
        &self,
        pixels: Array2<f32>,
    ) -> Result<(Array2<f32>, Vec<Trace>), Box<dyn Error>> {
        let mut traces = Vec::with_capacity(LAYERS);
        let mut x = pixels;
        for layer in &self.layers {
            let (output, trace) = layer.forward_train(x)?;
            traces.push(trace);
            x = output;
        }
        Ok((x, traces))
    }

    /// From the loss's gradient by the logits to the gradients of all parameters.
    pub(crate) fn backward(
        &self,
        traces: &[Trace],
        dlogits: Array2<f32>,
    ) -> Result<Vec<Gradients>, Box<dyn Error>> {
        let mut all = Vec::with_capacity(LAYERS);
        let mut gradient = dlogits;
        for (index, layer) in self.layers.iter().enumerate().rev() {
            let (by_dense, gradients) = layer.backward(&traces[index], gradient)?;
            all.push(gradients);
            if index == 0 {
                break; // Nobody asks for the gradient by the pixels.
            }
            gradient = layer.input_gradient(&by_dense);
        }
        all.reverse();
        Ok(all)
    }

    /// Takes training step number `step`, which counts from one.
    pub(crate) fn update(
        &mut self,
        gradients: &[Gradients],
        optimizer: Optimizer,
        step: i32,
    ) -> Result<(), Box<dyn Error>> {
        for (layer, gradients) in self.layers.iter_mut().zip(gradients) {
            layer.update(gradients, optimizer, step)?;
        }
        Ok(())
    }

    /// The logits of digits that are not learned from: batch norm uses its running statistics.
    pub(crate) fn infer(&self, pixels: &Array2<f32>) -> Result<Array2<f32>, Box<dyn Error>> {
        let mut x = pixels.clone();
        for layer in &self.layers {
            let mut y = layer.dense(&x);
            if let Some(norm) = &layer.norm {
                y = norm.infer(&y)?;
            }
            x = layer.activate(y);
        }
        Ok(x)
    }
}
