//! Spectral norm, whose u is both an input and a result.

use wgnorm::spectral::functional::{self, Backward, Forward};
use wgnorm::{DType, Device, Result, Shape, SpectralNormOptions, Tensor};

use super::weight::along;
use super::{Operation, Parsed};
use crate::elements::Elements;
use crate::file::{Input, Output, Values};
use crate::keys;
use crate::step::output;
use crate::tensors::{expect_alike, expect_elements, required};

struct SpectralNorm {
    options: SpectralNormOptions,
    train: bool,
    weight: Values,
    /// Elements of v, a row of the matrix.
    columns: usize,
    u: Values,
    dw: Option<Values>,
}

pub(super) fn spectral_norm(input: &mut Input<'_>) -> Parsed {
    let defaults = SpectralNormOptions::default();
    let train = keys::train(input)?;
    let options = SpectralNormOptions {
        dim: keys::dim(input)?,
        power_iterations: keys::power_iterations(input)?,
        eps: keys::eps(input, defaults.eps)?,
        ..defaults
    };
    let weight = required(input, "weight")?;
    let u = required(input, "u")?;
    let dw = input.take_tensor("dw")?;
    let view = along("weight", &weight, options.dim)?;
    if weight.data.is_empty() {
        let got = &weight.shape;
        return Err(format!("weight: expected at least 1 element, got {got:?}"));
    }
    let (shape, dim) = (&weight.shape, options.dim);
    let each = format!("one per index of weight {shape:?} along dim {dim}");
    expect_elements("u", &u, view.count, &each)?;
    expect_alike("dw", dw.as_ref(), "weight", &weight)?;
    Ok(Box::new(SpectralNorm {
        options,
        train,
        columns: view.slot_len(),
        weight,
        u,
        dw,
    }))
}

impl Operation for SpectralNorm {
    fn run(&self, device: &Device) -> Result<Vec<Output>> {
        let upload = |values: &Values| values.upload(device);
        let empty = |shape: &Shape| device.empty(shape, DType::F32);
        let shape = Shape::from(&self.weight.shape);
        let (weight, u) = (upload(&self.weight)?, upload(&self.u)?);
        let (w, v) = (empty(&shape)?, empty(&Shape::from([self.columns]))?);
        let len = functional::saved_len(device, &shape, &self.options)?;
        let saved = empty(&Shape::from([len]))?;
        let forward = Forward {
            weight: &weight,
            w: &w,
            u: &u,
            v: &v,
            saved: &saved,
        };
        let dw = self.dw.as_ref().map(upload).transpose()?;
        let dweight = empty(&shape)?;
        let mut recorder = device.recorder();
        let moves = self.train && self.options.power_iterations > 0;
        let iterations = u32::from(moves) * self.options.power_iterations;
        if !moves {
            // Nothing makes v of u alone but an iteration, which moves another u.
            let moved = upload(&self.u)?;
            let first = Forward {
                u: &moved,
                ..forward
            };
            functional::forward(&mut recorder, &first, &self.options, 1)?;
        }
        functional::forward(&mut recorder, &forward, &self.options, iterations)?;
        if let Some(dw) = &dw {
            let backward = Backward {
                weight: &weight,
                dw,
                saved: &saved,
                dweight: &dweight,
            };
            functional::backward(&mut recorder, &backward, &self.options)?;
        }
        recorder.submit()?;
        self.outputs(device, [&w, &u, &saved], dw.map(|_| dweight))
    }
}

impl SpectralNorm {
    fn outputs(
        &self,
        device: &Device,
        [w, u, saved]: [&Tensor; 3],
        dweight: Option<Tensor>,
    ) -> Result<Vec<Output>> {
        let shape = &self.weight.shape;
        let sigma = device.download(saved)?[0];
        let mut outputs = vec![
            output(device, "w", shape, w)?,
            output(device, "u", &self.u.shape, u)?,
            Output::floats("sigma", &[1], &Elements::F32(vec![sigma])),
        ];
        if let Some(dweight) = dweight {
            outputs.push(output(device, "dweight", shape, &dweight)?);
        }
        Ok(outputs)
    }
}
