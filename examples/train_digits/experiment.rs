//! One training run: a network, an optimizer, twenty times through the digits.

use std::error::Error;

use indicatif::ProgressBar;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64Mcg;
use wgnorm::Device;

use crate::common::data::{Digits, Split};
use crate::common::network::{Blueprint, Gradients, LAYERS, Network, Trace};
use crate::common::norm::Kind;
use crate::common::optimizer::Optimizer;
use crate::common::training::{self, accuracy};

pub(crate) const EPOCHS: usize = 20;
pub(crate) const BATCH: usize = 32;

/// The accuracy that the table measures the way to.
pub(crate) const GOAL: f32 = 0.95;

/// Every run starts from the same weights and sees the digits in the same order.
const SEED: u64 = 2;

/// What there is to say about one time through the digits.
pub(crate) struct Epoch {
    /// The mean of the batches' losses.
    pub(crate) loss: f32,
    /// The root mean square of each layer's weight gradient, averaged over the batches.
    pub(crate) gradients: [f32; LAYERS],
    /// Accuracy on the held-out digits afterwards.
    pub(crate) held_out: f32,
}

/// A finished run.
pub(crate) struct Run<'d> {
    pub(crate) optimizer: Optimizer,
    pub(crate) network: Network<'d>,
    steps: i32,
    /// Fewer than `EPOCHS` if the loss stopped being a number.
    pub(crate) epochs: Vec<Epoch>,
    pub(crate) train_accuracy: f32,
    /// What happened in each layer for the first batch and for the last.
    pub(crate) first: Vec<Trace>,
    pub(crate) last: Vec<Trace>,
}

impl Run<'_> {
    /// Goes once through the training digits in the order given, then looks at the held-out ones.
    fn epoch(&mut self, order: &[usize], data: &Split) -> Result<(), Box<dyn Error>> {
        // One digit alone has no variance to normalize by, so a rest of one sits this epoch out.
        let batches: Vec<&[usize]> = order.chunks(BATCH).filter(|b| b.len() > 1).collect();
        let weight = 1.0 / batches.len() as f32;
        let mut loss = 0.0;
        let mut sizes = [0.0; LAYERS];
        for rows in batches {
            let (batch_loss, gradients) = self.learn(data.train.select(rows))?;
            loss += weight * batch_loss;
            for (size, layer) in sizes.iter_mut().zip(&gradients) {
                *size += weight * layer.weight.pow2().mean().unwrap_or(0.0).sqrt();
            }
        }
        self.epochs.push(Epoch {
            loss,
            gradients: sizes,
            held_out: accuracy(&self.network, &data.held_out)?,
        });
        Ok(())
    }

    /// One training step.
    fn learn(&mut self, batch: Digits) -> Result<(f32, Vec<Gradients>), Box<dyn Error>> {
        self.steps += 1;
        let step = training::learn(&mut self.network, batch, self.optimizer, self.steps)?;
        if self.steps == 1 {
            self.first = step.traces;
        } else {
            self.last = step.traces;
        }
        Ok((step.loss, step.gradients))
    }

    /// Whether the loss stopped being a number.
    pub(crate) fn diverged(&self) -> bool {
        self.epochs.iter().any(|epoch| !epoch.loss.is_finite())
    }

    pub(crate) fn held_out_accuracy(&self) -> f32 {
        self.epochs.last().map_or(0.0, |epoch| epoch.held_out)
    }

    pub(crate) fn ends_above_goal(&self) -> bool {
        self.held_out_accuracy() > GOAL
    }

    /// How many epochs it took to get above the goal for the first time.
    pub(crate) fn epochs_to_goal(&self) -> Option<usize> {
        let reached = self.epochs.iter().position(|epoch| epoch.held_out > GOAL)?;
        Some(reached + 1)
    }
}

/// Trains a new network, with batch norm or without.
pub(crate) fn train<'d>(
    device: &'d Device,
    norm: Option<Kind>,
    optimizer: Optimizer,
    data: &Split,
    progress: &ProgressBar,
) -> Result<Run<'d>, Box<dyn Error>> {
    let mut rng = Pcg64Mcg::seed_from_u64(SEED);
    let blueprint = Blueprint {
        norm,
        ..Blueprint::default()
    };
    let mut run = Run {
        optimizer,
        network: Network::new(device, &blueprint, &mut rng)?,
        steps: 0,
        epochs: Vec::with_capacity(EPOCHS),
        train_accuracy: 0.0,
        first: Vec::new(),
        last: Vec::new(),
    };
    let mut order: Vec<usize> = (0..data.train.len()).collect();
    for number in 1..=EPOCHS {
        order.shuffle(&mut rng);
        run.epoch(&order, data)?;
        progress.inc(1);
        if run.diverged() {
            // Nothing brings such a network back.
            progress.inc((EPOCHS - number) as u64);
            break;
        }
    }
    run.train_accuracy = accuracy(&run.network, &data.train)?;
    Ok(run)
}
