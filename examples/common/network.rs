//! A network of dense layers on the CPU, each but the last followed by a norm on the GPU (or by
//! nothing, to compare) and a `ReLU`.

use std::error::Error;

use ndarray::{Array1, Array2, Axis, Ix1, Ix2};
use rand::SeedableRng;
use rand_distr::{Bernoulli, Distribution, Uniform};
use rand_pcg::Pcg64Mcg;
use wgnorm::Device;

use super::norm::{self, Kind, Norm};
use super::optimizer::{Optimizer, Parameter};

/// The sizes of the pixels, of the two hidden layers and of the answer.
pub(crate) const SIZES: [usize; 4] = [64, 100, 50, 10];

/// How many of the layers are trained: one between each two sizes.
pub(crate) const LAYERS: usize = SIZES.len() - 1;

/// Where the norm of a hidden layer is.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Placement {
    BeforeRelu,
    AfterRelu,
}

/// What a network is made like.
#[derive(Clone, Copy)]
pub(crate) struct Blueprint<'a> {
    pub(crate) sizes: &'a [usize],
    pub(crate) norm: Option<Kind>,
    pub(crate) placement: Placement,
    /// What the first weights are multiplied by.
    pub(crate) scale: f32,
    /// The share of each hidden layer's outputs that a training step leaves out.
    pub(crate) dropout: f32,
}

/// The network for the digits, without a norm.
impl Default for Blueprint<'_> {
    fn default() -> Self {
        Self {
            sizes: &SIZES,
            norm: None,
            placement: Placement::BeforeRelu,
            scale: 1.0,
            dropout: 0.0,
        }
    }
}

pub(crate) struct Network<'d> {
    layers: Vec<Layer<'d>>,
    /// Says what dropout leaves out.
    masks: Pcg64Mcg,
}

/// One dense layer with what follows it.
struct Layer<'d> {
    weight: Parameter<Ix2>,
    /// Batch norm takes the mean away and the bias with it. It is kept all the same, so that both
    /// networks have the same dense layers.
    bias: Parameter<Ix1>,
    norm: Option<Norm<'d>>,
    placement: Placement,
    /// The last layer gives the answer: it has no norm, no `ReLU` and no dropout.
    hidden: bool,
    dropout: f32,
}

/// What the forward of one layer leaves for its backward.
pub(crate) struct Trace {
    input: Array2<f32>,
    norm: Option<norm::Trace>,
    /// The dense layer's output, before normalization.
    pub(crate) dense: Array2<f32>,
    /// What the `ReLU` was given: the same after normalization, where that comes before.
    pub(crate) gated: Array2<f32>,
    /// What each output was multiplied by, where there is dropout.
    mask: Option<Array2<f32>>,
}

/// The gradients of one layer's parameters.
pub(crate) struct Gradients {
    pub(crate) weight: Array2<f32>,
    bias: Array1<f32>,
    norm: Option<norm::Gradients>,
    /// The root mean square of the gradient that arrives at the dense layer's output.
    pub(crate) arriving: f32,
}

impl<'d> Layer<'d> {
    /// PyTorch's default: weights and biases uniform within 1 / sqrt(inputs).
    fn new(
        device: &'d Device,
        blueprint: &Blueprint,
        index: usize,
        rng: &mut Pcg64Mcg,
    ) -> Result<Self, Box<dyn Error>> {
        let (inputs, outputs) = (blueprint.sizes[index], blueprint.sizes[index + 1]);
        let hidden = index + 2 < blueprint.sizes.len();
        let bound = 1.0 / (inputs as f32).sqrt();
        let uniform = Uniform::new_inclusive(-bound, bound)?;
        let weight = Array2::from_shape_simple_fn((inputs, outputs), || uniform.sample(rng));
        let bias = Array1::from_shape_simple_fn(outputs, || uniform.sample(rng));
        let norm = blueprint.norm.filter(|_| hidden);
        Ok(Self {
            weight: Parameter::new(blueprint.scale * weight),
            bias: Parameter::new(bias),
            norm: norm
                .map(|kind| Norm::new(device, kind, outputs))
                .transpose()?,
            placement: blueprint.placement,
            hidden,
            dropout: if hidden { blueprint.dropout } else { 0.0 },
        })
    }

    fn dense(&self, input: &Array2<f32>) -> Array2<f32> {
        input.dot(&self.weight.value) + &self.bias.value
    }

    fn activate(&self, x: Array2<f32>) -> Array2<f32> {
        if self.hidden {
            // The comparison lets NaN pass, which `max` would hide: a run that diverged shows it.
            x.mapv_into(|x| if x < 0.0 { 0.0 } else { x })
        } else {
            x
        }
    }

    fn forward_train(
        &self,
        input: Array2<f32>,
        masks: &mut Pcg64Mcg,
    ) -> Result<(Array2<f32>, Trace), Box<dyn Error>> {
        let dense = self.dense(&input);
        let (gated, mut output, norm) = match (&self.norm, self.placement) {
            (None, _) => (dense.clone(), self.activate(dense.clone()), None),
            (Some(norm), Placement::BeforeRelu) => {
                let (y, trace) = norm.forward_train(&dense)?;
                (y.clone(), self.activate(y), Some(trace))
            }
            (Some(norm), Placement::AfterRelu) => {
                let (y, trace) = norm.forward_train(&self.activate(dense.clone()))?;
                (dense.clone(), y, Some(trace))
            }
        };
        let mask = self.mask(output.dim(), masks)?;
        if let Some(mask) = &mask {
            output *= mask;
        }
        let trace = Trace {
            input,
            norm,
            dense,
            gated,
            mask,
        };
        Ok((output, trace))
    }

    /// Leaves a share of the values out and scales the others, so that their mean stays.
    fn mask(
        &self,
        dim: (usize, usize),
        masks: &mut Pcg64Mcg,
    ) -> Result<Option<Array2<f32>>, Box<dyn Error>> {
        if self.dropout == 0.0 {
            return Ok(None);
        }
        let kept = 1.0 - self.dropout;
        let coin = Bernoulli::new(kept.into())?;
        let value = || if coin.sample(masks) { 1.0 / kept } else { 0.0 };
        Ok(Some(Array2::from_shape_simple_fn(dim, value)))
    }

    /// Takes the loss's gradient by the layer's output, gives the gradients of its parameters and
    /// the gradient by the dense layer's output, from which `input_gradient` goes on.
    fn backward(
        &self,
        trace: &Trace,
        mut gradient: Array2<f32>,
    ) -> Result<(Array2<f32>, Gradients), Box<dyn Error>> {
        if let Some(mask) = &trace.mask {
            gradient *= mask;
        }
        let mut gradients = None;
        if self.placement == Placement::BeforeRelu {
            self.gate(trace, &mut gradient);
        }
        if let (Some(norm), Some(trace)) = (&self.norm, &trace.norm) {
            let (dx, of_norm) = norm.backward(trace, &gradient)?;
            gradient = dx;
            gradients = Some(of_norm);
        }
        if self.placement == Placement::AfterRelu {
            self.gate(trace, &mut gradient);
        }
        let gradients = Gradients {
            weight: trace.input.t().dot(&gradient),
            bias: gradient.sum_axis(Axis(0)),
            norm: gradients,
            arriving: gradient.pow2().mean().unwrap_or(0.0).sqrt(),
        };
        Ok((gradient, gradients))
    }

    /// The backward of the `ReLU`.
    fn gate(&self, trace: &Trace, gradient: &mut Array2<f32>) {
        if self.hidden {
            gradient.zip_mut_with(&trace.gated, |g, &x| {
                if x <= 0.0 {
                    *g = 0.0;
                }
            });
        }
    }

    /// The forward of a layer that is not learned from, with what its norm makes of its input.
    fn apply(
        &self,
        x: &Array2<f32>,
        norm: impl Fn(&Norm<'d>, &Array2<f32>) -> Result<Array2<f32>, Box<dyn Error>>,
    ) -> Result<Array2<f32>, Box<dyn Error>> {
        let dense = self.dense(x);
        match (&self.norm, self.placement) {
            (None, _) => Ok(self.activate(dense)),
            (Some(layer), Placement::BeforeRelu) => Ok(self.activate(norm(layer, &dense)?)),
            (Some(layer), Placement::AfterRelu) => norm(layer, &self.activate(dense)),
        }
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
    /// A network with random weights; its norms are on the device.
    pub(crate) fn new(
        device: &'d Device,
        blueprint: &Blueprint,
        rng: &mut Pcg64Mcg,
    ) -> Result<Self, Box<dyn Error>> {
        let layers = 0..blueprint.sizes.len() - 1;
        let layers = layers.map(|index| Layer::new(device, blueprint, index, rng));
        Ok(Self {
            layers: layers.collect::<Result<_, _>>()?,
            // A copy is drawn from, so that dropout changes no other random number.
            masks: Pcg64Mcg::from_rng(&mut rng.clone()),
        })
    }

    /// The logits of a batch to learn from, and what `backward` needs, layer by layer.
    pub(crate) fn forward_train(
        &mut self,
        pixels: Array2<f32>,
    ) -> Result<(Array2<f32>, Vec<Trace>), Box<dyn Error>> {
        let mut traces = Vec::with_capacity(self.layers.len());
        let mut x = pixels;
        for layer in &self.layers {
            let (output, trace) = layer.forward_train(x, &mut self.masks)?;
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
        let mut all = Vec::with_capacity(self.layers.len());
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
            x = layer.apply(&x, Norm::infer)?;
        }
        Ok(x)
    }

    /// Sets all running statistics to those of these digits, seen as one batch.
    pub(crate) fn recalibrate(&self, pixels: &Array2<f32>) -> Result<(), Box<dyn Error>> {
        let mut x = pixels.clone();
        for layer in &self.layers {
            x = layer.apply(&x, Norm::recalibrate)?;
        }
        Ok(())
    }

    /// The running variance of each hidden layer whose norm has one.
    pub(crate) fn running_vars(&self) -> Result<Vec<Vec<f32>>, Box<dyn Error>> {
        let norms = self.layers.iter().filter_map(|layer| layer.norm.as_ref());
        norms
            .filter_map(|norm| norm.running_var().transpose())
            .collect()
    }
}
