//! The loss, one training step, and the plain way through the digits.

use std::error::Error;

use ndarray::{Array2, ArrayView1};
use rand::seq::SliceRandom;
use rand_pcg::Pcg64Mcg;

use super::data::{Digits, Split};
use super::network::{Gradients, Network, Trace};
use super::optimizer::Optimizer;

/// What one training step leaves to be looked at.
pub(crate) struct Step {
    pub(crate) loss: f32,
    pub(crate) traces: Vec<Trace>,
    pub(crate) gradients: Vec<Gradients>,
}

/// Takes training step number `step`, which counts from one: forward, loss, backward, update.
pub(crate) fn learn(
    network: &mut Network,
    batch: Digits,
    optimizer: Optimizer,
    step: i32,
) -> Result<Step, Box<dyn Error>> {
    let seen = look(network, batch)?;
    network.update(&seen.gradients, optimizer, step)?;
    Ok(seen)
}

/// A training step without its update.
pub(crate) fn look(network: &mut Network, batch: Digits) -> Result<Step, Box<dyn Error>> {
    let (logits, traces) = network.forward_train(batch.pixels)?;
    let (loss, dlogits) = cross_entropy(logits, &batch.labels);
    let gradients = network.backward(&traces, dlogits)?;
    Ok(Step {
        loss,
        traces,
        gradients,
    })
}

/// How a network goes through the digits.
#[derive(Clone, Copy)]
pub(crate) struct Course {
    pub(crate) optimizer: Optimizer,
    pub(crate) batch: usize,
    pub(crate) epochs: usize,
    /// How many times on the way, at equal distances, the held-out digits are asked for.
    pub(crate) looks: usize,
}

impl Course {
    pub(crate) fn steps(&self, data: &Split) -> usize {
        self.epochs * (data.train.len() / self.batch)
    }
}

/// Trains a network and gives its accuracies on the held-out digits; the last is that of the end.
/// Digits that are too few for a batch sit an epoch out, so that all batches have the same size.
pub(crate) fn train(
    network: &mut Network,
    course: Course,
    data: &Split,
    rng: &mut Pcg64Mcg,
) -> Result<Vec<f32>, Box<dyn Error>> {
    let mut order: Vec<usize> = (0..data.train.len()).collect();
    let mut accuracies = Vec::with_capacity(course.looks);
    let (mut done, mut step) = (0, 0);
    for _ in 0..course.epochs {
        order.shuffle(rng);
        for rows in order.chunks_exact(course.batch) {
            (done, step) = (done + 1, step + 1);
            let batch = data.train.select(rows);
            learn(network, batch, course.optimizer, step)?;
            if done * course.looks / course.steps(data) > accuracies.len() {
                accuracies.push(accuracy(network, &data.held_out)?);
            }
        }
    }
    Ok(accuracies)
}

/// The mean loss of a batch by softmax and cross entropy, and its gradient by the logits.
fn cross_entropy(mut logits: Array2<f32>, labels: &[usize]) -> (f32, Array2<f32>) {
    let weight = 1.0 / labels.len() as f32;
    let mut loss = 0.0;
    for (mut row, &label) in logits.rows_mut().into_iter().zip(labels) {
        // The largest logit becomes zero, so that no exponential overflows.
        let largest = row.fold(f32::NEG_INFINITY, |a, &b| a.max(b));
        row.mapv_inplace(|logit| logit - largest);
        let log_sum = row.mapv(f32::exp).sum().ln();
        loss += weight * (log_sum - row[label]);
        row.mapv_inplace(|logit| weight * (logit - log_sum).exp());
        row[label] -= weight;
    }
    (loss, logits)
}

/// The digit that each row of logits stands for.
pub(crate) fn answers(logits: &Array2<f32>) -> Vec<usize> {
    let largest = |row: ArrayView1<f32>| {
        let ranked = row.into_iter().enumerate();
        let best = ranked.max_by(|(_, a), (_, b)| a.total_cmp(b));
        best.map_or(0, |(digit, _)| digit)
    };
    logits.rows().into_iter().map(largest).collect()
}

/// The share of the digits that a network answers right.
pub(crate) fn accuracy(network: &Network, digits: &Digits) -> Result<f32, Box<dyn Error>> {
    let answers = answers(&network.infer(&digits.pixels)?);
    let right = answers
        .iter()
        .zip(&digits.labels)
        .filter(|(a, b)| a == b)
        .count();
    Ok(right as f32 / digits.len() as f32)
}
