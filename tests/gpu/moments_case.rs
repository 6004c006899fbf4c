//! A case in pieces along its first dimension: statistics and gradients of them all through the public
//! moments, on guarded tensors.

use wgnorm::functional::{Backward, Forward, Running};
use wgnorm::moments::{self, Row};
use wgnorm::{DType, Device, Moment, Shape};

use crate::case::{Case, Inputs, Outputs};
use crate::guarded::Guarded;

/// How the moments and sums of the pieces come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// As rows of one tensor.
    Rows,
    /// A tensor each, the first of which all others are merged into.
    Tensors,
    /// In float64 on the host, as another process's do: downloaded, merged and uploaded.
    Host,
}

pub(crate) const WAYS: [Way; 3] = [Way::Rows, Way::Tensors, Way::Host];

/// A piece of the case on the device.
struct Piece {
    x: Guarded,
    dy: Guarded,
    y: Guarded,
    dx: Guarded,
}

/// A case on the device: its pieces, and what they have in common.
struct Whole<'a> {
    device: &'a Device,
    case: &'a Case,
    way: Way,
    pieces: Vec<Piece>,
    state: Guarded,
    gamma: Guarded,
    beta: Guarded,
}

/// Runs the case in pieces of so many entries of its first dimension each.
pub(crate) fn run(
    device: &Device,
    case: &Case,
    inputs: &Inputs,
    entries: &[usize],
    way: Way,
) -> Outputs {
    let dims = case.shape.dims();
    assert_eq!(entries.iter().sum::<usize>(), dims[0], "the pieces are all");
    let entry = case.shape.numel() / dims[0];
    let mut first = 0;
    let mut least = 0;
    let mut pieces = Vec::new();
    for &n in entries {
        let shape = Shape::from([&[n], &dims[1..]].concat());
        let range = first * entry..(first + n) * entry;
        first += n;
        let len = moments::state_len(device, &shape, &case.options).unwrap();
        least = least.max(len);
        pieces.push(Piece {
            x: Guarded::input(device, &inputs.x[range.clone()], &shape),
            dy: Guarded::input(device, &inputs.dy[range], &shape),
            y: Guarded::poisoned(device, &shape),
            dx: Guarded::poisoned(device, &shape),
        });
    }
    let whole = Whole {
        device,
        case,
        way,
        pieces,
        state: Guarded::poisoned(device, &Shape::from([least])),
        gamma: Guarded::vector(device, &inputs.gamma),
        beta: Guarded::vector(device, &inputs.beta),
    };
    whole.run(inputs)
}

impl Whole<'_> {
    fn run(&self, inputs: &Inputs) -> Outputs {
        let device = self.device;
        let vector = |values: &[f32]| Guarded::vector(device, values);
        let (mean, var) = (vector(&inputs.running_mean), vector(&inputs.running_var));
        let tracked = Guarded::new(device, &[inputs.tracked], Shape::from([1]), DType::U32);
        let running = self.case.mode.update_running.then_some(Running {
            mean: &mean.tensor,
            var: &var.tensor,
            num_batches_tracked: Some(&tracked.tensor),
        });
        let total = self.moments();
        let mut step = device.recorder();
        let (state, options) = (Some(&self.state.tensor), &self.case.options);
        moments::finalize(&mut step, &total.tensor, running, state, options).unwrap();
        for piece in &self.pieces {
            let forward = self.forward(piece);
            moments::normalize(&mut step, &forward, options).unwrap();
        }
        step.submit().unwrap();

        let channels = Shape::from([self.case.channels()]);
        let [dgamma, dbeta] = [(); 2].map(|()| Guarded::poisoned(device, &channels));
        let sums = self.sums();
        let mut step = device.recorder();
        for (i, piece) in self.pieces.iter().enumerate() {
            let backward = Backward {
                dx: Some(&piece.dx.tensor),
                dgamma: Some(&dgamma.tensor).filter(|_| i == 0),
                dbeta: Some(&dbeta.tensor).filter(|_| i == 0),
                ..self.backward(piece)
            };
            moments::backward(&mut step, &backward, &sums.tensor, options).unwrap();
        }
        step.submit().unwrap();

        for piece in &self.pieces {
            piece.x.expect_untouched(device, "x");
            piece.dy.expect_untouched(device, "dy");
        }
        let state: Vec<f32> = words(device, &self.state);
        let saved: Vec<&[f32]> = state.chunks_exact(4).skip(1).collect();
        let saved = &saved[..self.case.channels()];
        let joined = |of: &dyn Fn(&Piece) -> Vec<f32>| self.pieces.iter().flat_map(of).collect();
        Outputs {
            y: joined(&|piece| piece.y.output(device)),
            mean: saved
                .iter()
                .map(|s| (f64::from(s[0]) + f64::from(s[1])) as f32)
                .collect(),
            rstd: saved.iter().map(|s| s[2]).collect(),
            var: saved.iter().map(|s| s[3]).collect(),
            running_mean: mean.output(device),
            running_var: var.output(device),
            tracked: tracked.words(device)[0],
            dx: joined(&|piece| piece.dx.output(device)),
            dgamma: dgamma.output(device),
            dbeta: dbeta.output(device),
        }
    }

    fn forward<'a>(&'a self, piece: &'a Piece) -> Forward<'a> {
        Forward {
            state: Some(&self.state.tensor),
            gamma: self.case.gamma.then_some(&self.gamma.tensor),
            beta: self.case.beta.then_some(&self.beta.tensor),
            ..Forward::new(&piece.x.tensor, &piece.y.tensor)
        }
    }

    fn backward<'a>(&'a self, piece: &'a Piece) -> Backward<'a> {
        Backward {
            gamma: self.case.gamma.then_some(&self.gamma.tensor),
            ..Backward::new(&piece.x.tensor, &piece.dy.tensor, &self.state.tensor)
        }
    }

    /// The moments of all pieces, `[C, 4]`.
    fn moments(&self) -> Guarded {
        let (count, options) = (self.case.channels(), &self.case.options);
        let parts = self.parts(4);
        let total = Guarded::poisoned(self.device, &Shape::from([count, 4]));
        let mut step = self.device.recorder();
        for (i, piece) in self.pieces.iter().enumerate() {
            let (x, state) = (&piece.x.tensor, &self.state.tensor);
            let row = self.row(&parts, i);
            moments::partial(&mut step, x, state, row, options).unwrap();
        }
        if self.way == Way::Host {
            step.submit().unwrap();
            let mut merged = vec![Moment::default(); count];
            for part in &parts {
                let there = Moment::read(&part.output(self.device));
                merged = merged
                    .into_iter()
                    .zip(there)
                    .map(|(here, there)| here.merge(there))
                    .collect();
            }
            return Guarded::input(
                self.device,
                &Moment::write(&merged),
                &Shape::from([count, 4]),
            );
        }
        let tensors: Vec<_> = parts.iter().map(|part| &part.tensor).collect();
        moments::merge(&mut step, &tensors, &total.tensor).unwrap();
        step.submit().unwrap();
        total
    }

    /// The sums of all pieces, `[C, 2]`.
    fn sums(&self) -> Guarded {
        let (count, options) = (self.case.channels(), &self.case.options);
        let parts = self.parts(2);
        let shape = Shape::from([count, 2]);
        let total = Guarded::poisoned(self.device, &shape);
        let mut step = self.device.recorder();
        for (i, piece) in self.pieces.iter().enumerate() {
            let row = self.row(&parts, i);
            moments::partial_sums(&mut step, &self.backward(piece), row, options).unwrap();
        }
        if self.way == Way::Host {
            step.submit().unwrap();
            let mut sums = vec![0.0; 2 * count];
            for part in &parts {
                let there = part.output(self.device);
                sums.iter_mut()
                    .zip(there)
                    .for_each(|(sum, there)| *sum += f64::from(there));
            }
            let sums: Vec<f32> = sums.into_iter().map(|sum| sum as f32).collect();
            return Guarded::input(self.device, &sums, &shape);
        }
        let tensors: Vec<_> = parts.iter().map(|part| &part.tensor).collect();
        moments::merge_sums(&mut step, &tensors, &total.tensor).unwrap();
        step.submit().unwrap();
        total
    }

    /// Poisoned places for what each piece leaves.
    fn parts(&self, values: usize) -> Vec<Guarded> {
        let (count, pieces) = (self.case.channels(), self.pieces.len());
        let poisoned = |shape: &[usize]| Guarded::poisoned(self.device, &Shape::from(shape));
        match self.way {
            Way::Rows => vec![poisoned(&[pieces, count, values])],
            _ => (0..pieces).map(|_| poisoned(&[count, values])).collect(),
        }
    }

    fn row<'a>(&self, parts: &'a [Guarded], i: usize) -> Row<'a> {
        match self.way {
            Way::Rows => Row::of(&parts[0].tensor, i),
            _ => Row::of(&parts[i].tensor, 0),
        }
    }
}

fn words(device: &Device, tensor: &Guarded) -> Vec<f32> {
    let words = tensor.words(device).into_iter();
    words.map(f32::from_bits).collect()
}
