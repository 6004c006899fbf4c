//! A batch in two halves along its first dimension, whose statistics and gradients are those of both.

use wgnorm::functional::{Backward, Forward};
use wgnorm::moments::{self, Row};
use wgnorm::{BatchNormOptions, DType, Device, Recorder, Result, Shape, Tensor};

use crate::case::Case;

/// Where a view of any device may begin.
const ALIGNED: u64 = 256;

/// The halves of a batch, and what each leaves of every channel.
pub(crate) struct Pieces {
    options: BatchNormOptions,
    halves: [Half; 2],
    moments: Merged,
    sums: Merged,
}

/// Views of the activations.
struct Half {
    x: Tensor,
    dy: Tensor,
    y: Tensor,
    dx: Tensor,
}

/// A row of each half, and the one that they are merged into.
struct Merged {
    parts: Tensor,
    total: Tensor,
}

/// The shape of each half.
fn half(case: &Case) -> Shape {
    let shape = case.device_shape();
    let [first, others @ ..] = shape.dims() else {
        return shape;
    };
    Shape::from([&[first / 2], others].concat())
}

/// Whether the batch has two halves, the second of which can be a view.
pub(crate) fn has_halves(case: &Case) -> bool {
    let is_even = case.dims.0[0].is_multiple_of(2);
    is_even && case.dtype.bytes(&half(case)).is_multiple_of(ALIGNED)
}

/// How many f32 the state of either half needs.
pub(crate) fn state_len(device: &Device, case: &Case) -> Result<usize> {
    moments::state_len(device, &half(case), &case.batch_options())
}

impl Pieces {
    /// The pieces of these x, dy, y and dx.
    pub(crate) fn of(device: &Device, case: &Case, [x, dy, y, dx]: [&Tensor; 4]) -> Result<Self> {
        let shape = half(case);
        let view = |tensor: &Tensor, i: u64| {
            let begin = tensor.offset() + i * case.dtype.bytes(&shape);
            let buffer = tensor.buffer().clone();
            Tensor::from_buffer(device, buffer, begin, &shape, case.dtype)
        };
        let half = |i| -> Result<Half> {
            Ok(Half {
                x: view(x, i)?,
                dy: view(dy, i)?,
                y: view(y, i)?,
                dx: view(dx, i)?,
            })
        };
        Ok(Self {
            options: case.batch_options(),
            halves: [half(0)?, half(1)?],
            moments: Merged::empty(device, [case.channels(), 4])?,
            sums: Merged::empty(device, [case.channels(), 2])?,
        })
    }

    /// Records the forward that `tensors` name for the whole batch.
    pub(crate) fn forward(
        &self,
        recorder: &mut Recorder<'_>,
        tensors: &Forward<'_>,
        state: &Tensor,
    ) -> Result<()> {
        let (options, Merged { parts, total }) = (&self.options, &self.moments);
        for (i, half) in self.halves.iter().enumerate() {
            moments::partial(recorder, &half.x, state, Row::of(parts, i), options)?;
        }
        moments::merge(recorder, &[parts], total)?;
        moments::finalize(recorder, total, tensors.running, Some(state), options)?;
        for half in &self.halves {
            let (x, y) = (&half.x, &half.y);
            moments::normalize(recorder, &Forward { x, y, ..*tensors }, options)?;
        }
        Ok(())
    }

    /// Records the backward that `tensors` name for the whole batch.
    pub(crate) fn backward(
        &self,
        recorder: &mut Recorder<'_>,
        tensors: &Backward<'_>,
    ) -> Result<()> {
        let (options, Merged { parts, total }) = (&self.options, &self.sums);
        for (i, half) in self.halves.iter().enumerate() {
            moments::partial_sums(
                recorder,
                &half.backward(tensors),
                Row::of(parts, i),
                options,
            )?;
        }
        moments::merge_sums(recorder, &[parts], total)?;
        let [first, second] = &self.halves;
        // The sums are those of both halves, so that one of them is enough to make gradients of.
        let second = Backward {
            dgamma: None,
            dbeta: None,
            ..second.backward(tensors)
        };
        for tensors in [first.backward(tensors), second] {
            moments::backward(recorder, &tensors, total, options)?;
        }
        Ok(())
    }
}

impl Half {
    /// The same backward of this half.
    fn backward<'a>(&'a self, tensors: &Backward<'a>) -> Backward<'a> {
        Backward {
            x: &self.x,
            dy: &self.dy,
            dx: Some(&self.dx),
            ..*tensors
        }
    }
}

impl Merged {
    fn empty(device: &Device, [channels, values]: [usize; 2]) -> Result<Self> {
        Ok(Self {
            parts: device.empty([2, channels, values], DType::F32)?,
            total: device.empty([channels, values], DType::F32)?,
        })
    }
}
