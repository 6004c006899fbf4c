//! A batch that comes in pieces: several micro-batches with the statistics of them all.

use super::freezing::Freeze;
use super::functional::{Backward, Forward};
use super::layer::RunningTensors;
use super::layers::BatchNorm;
use super::moments::{self, Row};
use crate::gpu::{DType, Device, Recorder, Tensor};
use crate::{Error, Result, Shape};

/// What a forward in pieces leaves for its backward.
#[derive(Clone, Debug)]
pub struct SavedPieces {
    pub(super) state: Tensor,
    /// The statistics in it.
    pub(super) count: usize,
    shapes: Vec<Shape>,
}

/// The gradients of a backward in pieces.
#[derive(Clone, Debug)]
pub struct PieceGradients {
    /// The gradient by each piece of x, shaped like it.
    pub dx: Vec<Tensor>,
    /// The gradient by gamma, of all pieces together, where the layer has one.
    pub dgamma: Option<Tensor>,
    /// The gradient by beta, of all pieces together, where the layer has one.
    pub dbeta: Option<Tensor>,
}

impl BatchNorm {
    /// Training on a batch that comes in pieces, such as the micro-batches before one update: normalizes
    /// all of them by the statistics of all, and moves the running statistics once. The same as
    /// [`forward_train`](Self::forward_train) of the pieces put together, whatever their sizes.
    ///
    /// For pieces in several processes, or one at a time, see [`moments`]. A
    /// [frozen](Freeze) layer has no statistics of pieces and refuses: forward each with
    /// [`Mode::EVAL`](super::Mode::EVAL).
    ///
    /// ```no_run
    /// use wgnorm::{BatchNorm, Device, Tensor};
    ///
    /// fn step(device: &Device, norm: &BatchNorm, x: [&Tensor; 2], dy: [&Tensor; 2]) -> wgnorm::Result<()> {
    ///     let mut step = device.recorder();
    ///     let (_y, saved) = norm.forward_train_pieces(&mut step, &x)?;
    ///     let _gradients = norm.backward_pieces(&mut step, &x, &dy, &saved)?;
    ///     step.submit()
    /// }
    /// ```
    pub fn forward_train_pieces(
        &self,
        recorder: &mut Recorder<'_>,
        pieces: &[&Tensor],
    ) -> Result<(Vec<Tensor>, SavedPieces)> {
        let device = recorder.device().clone();
        let count = self.check_pieces(pieces)?;
        let state = self.state_of_pieces(&device, pieces)?;
        let parts = device.empty([pieces.len(), count, 4], DType::F32)?;
        let total = device.empty([count, 4], DType::F32)?;
        let alike = pieces.iter().map(|x| device.empty(x.shape(), x.dtype()));
        let ys: Vec<Tensor> = alike.collect::<Result<_>>()?;
        recorder.whole(|recorder| {
            for (i, x) in pieces.iter().enumerate() {
                moments::partial(recorder, x, &state, Row::of(&parts, i), &self.options)?;
            }
            moments::merge(recorder, &[&parts], &total)?;
            let running = self.running.as_ref().map(RunningTensors::borrowed);
            moments::finalize(recorder, &total, running, Some(&state), &self.options)?;
            for (&x, y) in pieces.iter().zip(&ys) {
                let tensors = Forward {
                    state: Some(&state),
                    gamma: self.gamma(),
                    beta: self.beta(),
                    ..Forward::new(x, y)
                };
                moments::normalize(recorder, &tensors, &self.options)?;
            }
            Ok(())
        })?;
        let saved = SavedPieces {
            state,
            count,
            shapes: pieces.iter().map(|x| x.shape().clone()).collect(),
        };
        Ok((ys, saved))
    }

    /// The backward of [`forward_train_pieces`](Self::forward_train_pieces): the gradient by each piece,
    /// through the statistics of all, and by the parameters that the layer has. The pieces of x are those
    /// of the forward, unchanged.
    pub fn backward_pieces(
        &self,
        recorder: &mut Recorder<'_>,
        pieces: &[&Tensor],
        dys: &[&Tensor],
        saved: &SavedPieces,
    ) -> Result<PieceGradients> {
        let device = recorder.device().clone();
        let count = self.check_pieces(pieces)?;
        saved.check("x", pieces)?;
        saved.check("dy", dys)?;
        let parts = device.empty([pieces.len(), count, 2], DType::F32)?;
        let sums = device.empty([count, 2], DType::F32)?;
        let alike = pieces.iter().map(|x| device.empty(x.shape(), x.dtype()));
        let dxs: Vec<Tensor> = alike.collect::<Result<_>>()?;
        let like = |parameter: &Tensor| device.empty(parameter.shape(), DType::F32);
        let dgamma = self.gamma().map(like).transpose()?;
        let dbeta = self.beta().map(like).transpose()?;
        let of = |i: usize| Backward {
            gamma: self.gamma(),
            beta: self.beta(),
            dx: Some(&dxs[i]),
            // The first piece's dispatch writes those of all.
            dgamma: dgamma.as_ref().filter(|_| i == 0),
            dbeta: dbeta.as_ref().filter(|_| i == 0),
            ..Backward::new(pieces[i], dys[i], &saved.state)
        };
        recorder.whole(|recorder| {
            for i in 0..pieces.len() {
                moments::partial_sums(recorder, &of(i), Row::of(&parts, i), &self.options)?;
            }
            moments::merge_sums(recorder, &[&parts], &sums)?;
            for i in 0..pieces.len() {
                moments::backward(recorder, &of(i), &sums, &self.options)?;
            }
            Ok(())
        })?;
        Ok(PieceGradients {
            dx: dxs,
            dgamma,
            dbeta,
        })
    }

    /// Refuses pieces that the layer cannot have statistics of; how many channels they have.
    fn check_pieces(&self, pieces: &[&Tensor]) -> Result<usize> {
        if self.is_frozen() {
            return Err(Error::Option {
                name: "frozen",
                expected: "a layer that is not frozen, to have statistics of pieces",
                got: true.to_string(),
            });
        }
        let mut n = 0usize;
        let mut count = 0;
        for x in pieces {
            let spec = self.check(x)?;
            n = n.saturating_add(spec.n());
            count = spec.channels.count;
        }
        match pieces {
            [] => Err(Error::Missing {
                name: "x",
                reason: "a batch in pieces has at least one",
            }),
            [x, ..] if n == 1 => Err(Error::OneValuePerChannel {
                shape: x.shape().clone(),
            }),
            _ => Ok(count),
        }
    }

    /// A state for all of them.
    fn state_of_pieces(&self, device: &Device, pieces: &[&Tensor]) -> Result<Tensor> {
        let mut most = 0;
        for x in pieces {
            most = most.max(moments::state_len(device, x.shape(), &self.options)?);
        }
        device.empty([most], DType::F32)
    }
}

impl SavedPieces {
    /// Refuses tensors that are not shaped as the forward's were.
    fn check(&self, name: &'static str, pieces: &[&Tensor]) -> Result<()> {
        if pieces.len() != self.shapes.len() {
            return Err(Error::Length {
                name,
                shape: Shape::from([self.shapes.len()]),
                expected: self.shapes.len(),
                got: pieces.len(),
            });
        }
        let wrong = |(piece, shape): &(&&Tensor, &Shape)| piece.shape() != *shape;
        match pieces.iter().zip(&self.shapes).find(wrong) {
            None => Ok(()),
            Some((piece, shape)) => Err(Error::Shape {
                name,
                expected: format!("what the forward had: {shape}"),
                got: piece.shape().clone(),
            }),
        }
    }
}
