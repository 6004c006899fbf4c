//! Weight norm as a layer that owns its lengths.

use super::functional::{self, Backward, Forward};
use super::options::{Mode, Statistics};
use super::planning::state_len_of;
use super::relatives::WeightNormOptions;
use super::saved::Saved;
use super::spec::Specify;
use crate::gpu::{DType, Device, Recorder, Tensor};
use crate::{Error, Result, Shape};

/// Weight normalization: `w = g · v / ||v||`, which parts the length g of each slice of a weight from
/// its direction v.
///
/// The norm is over all dimensions but [`dim`](WeightNormOptions::dim), 0 by default as in PyTorch. g
/// belongs to the layer, `[C]` for v's C indices along that dimension; v is the caller's. A slice of
/// zeros has no direction and gives NaN.
#[derive(Clone, Debug)]
pub struct WeightNorm {
    options: WeightNormOptions,
    g: Tensor,
}

/// The gradients of a weight norm.
#[derive(Clone, Debug)]
pub struct WeightGradients {
    /// The gradient by v, shaped like it.
    pub dv: Tensor,
    /// The gradient by g, `[C]`.
    pub dg: Tensor,
}

impl WeightNorm {
    /// A layer whose g are the lengths of that weight's slices, so that w is the weight itself where v
    /// is.
    pub fn new(
        device: &Device,
        weight: &[f32],
        shape: impl Into<Shape>,
        options: WeightNormOptions,
    ) -> Result<Self> {
        let shape = shape.into();
        let view = options.specify(&shape)?.reduction.view;
        if weight.len() != shape.numel() {
            return Err(Error::Length {
                name: "weight",
                expected: shape.numel(),
                got: weight.len(),
                shape,
            });
        }
        let mut squares = vec![0.0f64; view.count];
        for (i, &value) in weight.iter().enumerate() {
            squares[i / view.inner.max(1) % view.count] += f64::from(value) * f64::from(value);
        }
        let lengths: Vec<f32> = squares.iter().map(|sum| sum.sqrt() as f32).collect();
        let g = device.upload(&lengths, [lengths.len()])?;
        Ok(Self { options, g })
    }

    /// The lengths, `[C]`.
    #[must_use]
    pub fn g(&self) -> &Tensor {
        &self.g
    }

    /// Returns w, shaped like v, and what the backward needs.
    pub fn forward(&self, recorder: &mut Recorder<'_>, v: &Tensor) -> Result<(Tensor, Saved)> {
        let device = recorder.device();
        let len = state_len_of(device, v, &self.options).map_err(in_words)?;
        let state = device.empty([len], DType::F32)?;
        let w = device.empty(v.shape(), v.dtype())?;
        let tensors = Forward {
            state: Some(&state),
            gamma: Some(&self.g),
            ..Forward::new(v, &w)
        };
        functional::forward(recorder, &tensors, &self.options, Mode::RECOMPUTE)
            .map_err(in_words)?;
        let view = self.options.specify(v.shape())?.channels;
        let saved = Saved::of_batch(state, v.shape().clone(), view);
        Ok((w, saved))
    }

    /// The gradients by v and g from that by w. v is the one of the forward, unchanged.
    pub fn backward(
        &self,
        recorder: &mut Recorder<'_>,
        v: &Tensor,
        dw: &Tensor,
        saved: &Saved,
    ) -> Result<WeightGradients> {
        saved.expect_shape("v", v.shape())?;
        let device = recorder.device();
        let dv = device.empty(v.shape(), v.dtype())?;
        let dg = device.empty(self.g.shape(), DType::F32)?;
        let tensors = Backward {
            gamma: Some(&self.g),
            dx: Some(&dv),
            dgamma: Some(&dg),
            ..Backward::new(v, dw, saved.state())
        };
        functional::backward(recorder, &tensors, &self.options, Statistics::Batch)
            .map_err(in_words)?;
        Ok(WeightGradients { dv, dg })
    }
}

/// The error in the words of the caller, for whom x is v and y is w.
fn in_words(error: Error) -> Error {
    let word = |name| match name {
        "x" => "v",
        "y" => "w",
        "dy" => "dw",
        "dx" => "dv",
        "gamma" => "g",
        "dgamma" => "dg",
        other => other,
    };
    match error {
        Error::Shape {
            name,
            expected,
            got,
        } => Error::Shape {
            name: word(name),
            expected: expected.replace("x's shape", "v's shape"),
            got,
        },
        Error::DType {
            name,
            expected,
            got,
        } => Error::DType {
            name: word(name),
            expected,
            got,
        },
        Error::OtherDevice { name } => Error::OtherDevice { name: word(name) },
        Error::Overlap {
            first,
            first_start,
            first_end,
            second,
            second_start,
            second_end,
        } => Error::Overlap {
            first: word(first),
            first_start,
            first_end,
            second: word(second),
            second_start,
            second_end,
        },
        other => other,
    }
}
