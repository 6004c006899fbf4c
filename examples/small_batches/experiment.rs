//! One training for each norm, size of batch and seed.

use std::error::Error;

use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;
use wgnorm::{Device, RenormSchedule};

use crate::common::data::Split;
use crate::common::network::{Blueprint, Network};
use crate::common::norm::Kind;
use crate::common::optimizer::{Method, Optimizer};
use crate::common::several::{self, Measured};
use crate::common::training::{self, Course, accuracy};

/// How many digits are in a batch.
pub(crate) const BATCHES: [usize; 6] = [2, 4, 8, 16, 32, 64];
pub(crate) const EPOCHS: usize = 2;
/// Accuracies that a learning curve consists of.
pub(crate) const LOOKS: usize = 12;
/// Each seed has its own first weights and its own order of the digits.
pub(crate) const SEEDS: [u64; 3] = [1, 2, 3];

/// The rate for batches of 32. Others are in proportion, so that a digit weighs the same whatever
/// batch it comes in.
const RATE: f32 = 0.04;

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Contestant {
    Without,
    Batch,
    Layer,
    Group,
    Renorm,
}

impl Contestant {
    pub(crate) const ALL: [Self; 5] = [
        Self::Without,
        Self::Batch,
        Self::Layer,
        Self::Group,
        Self::Renorm,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Without => "no norm",
            Self::Batch => "batch",
            Self::Layer => "layer",
            Self::Group => "group",
            Self::Renorm => "renorm",
        }
    }

    /// Whether its inference goes by running statistics.
    pub(crate) fn runs(self) -> bool {
        matches!(self, Self::Batch | Self::Renorm)
    }

    fn kind(self, steps: u64) -> Option<Kind> {
        match self {
            Self::Without => None,
            Self::Batch => Some(Kind::Batch),
            Self::Layer => Some(Kind::Layer),
            Self::Group => Some(Kind::Group),
            // The paper's schedule in the parts that it has of the paper's training.
            Self::Renorm => Some(Kind::Renorm(RenormSchedule {
                start: steps / 16,
                d_end: 5 * steps / 16,
                r_end: steps / 2,
                ..RenormSchedule::default()
            })),
        }
    }
}

struct Job {
    contestant: Contestant,
    batch: usize,
    seed: u64,
}

struct Answer {
    accuracies: Vec<f32>,
    recalibrated: f32,
}

/// What all seeds of a contestant and a size of batch came to.
pub(crate) struct Cell {
    pub(crate) contestant: Contestant,
    pub(crate) batch: usize,
    pub(crate) accuracy: Measured,
    /// The same with the statistics of all training digits in place of the running ones.
    pub(crate) recalibrated: Measured,
    /// The mean learning curve.
    pub(crate) curve: Vec<f32>,
}

pub(crate) fn run_all(device: &Device, data: &Split) -> Result<Vec<Cell>, Box<dyn Error>> {
    let mut jobs = Vec::new();
    for batch in BATCHES {
        for contestant in Contestant::ALL {
            jobs.extend(SEEDS.map(|seed| Job {
                contestant,
                batch,
                seed,
            }));
        }
    }
    let answers = several::all(device, &jobs, |job| run(device, data, job))?;
    let cells = jobs
        .chunks(SEEDS.len())
        .zip(answers.chunks(SEEDS.len()))
        .map(|(jobs, answers)| {
            let over_seeds = |value: &dyn Fn(&Answer) -> f32| {
                Measured::of(&answers.iter().map(value).collect::<Vec<_>>())
            };
            Cell {
                contestant: jobs[0].contestant,
                batch: jobs[0].batch,
                accuracy: over_seeds(&|answer| answer.accuracies[LOOKS - 1]),
                recalibrated: over_seeds(&|answer| answer.recalibrated),
                curve: (0..LOOKS)
                    .map(|look| over_seeds(&|answer| answer.accuracies[look]).mean)
                    .collect(),
            }
        });
    Ok(cells.collect())
}

fn run(device: &Device, data: &Split, job: &Job) -> Result<Answer, Box<dyn Error>> {
    let course = Course {
        optimizer: Optimizer {
            method: Method::Sgd,
            rate: RATE * job.batch as f32 / 32.0,
        },
        batch: job.batch,
        epochs: EPOCHS,
        looks: LOOKS,
    };
    let mut rng = Pcg64Mcg::seed_from_u64(job.seed);
    let blueprint = Blueprint {
        norm: job.contestant.kind(course.steps(data) as u64),
        ..Blueprint::default()
    };
    let mut network = Network::new(device, &blueprint, &mut rng)?;
    let accuracies = training::train(&mut network, course, data, &mut rng)?;
    network.recalibrate(&data.train.pixels)?;
    let recalibrated = accuracy(&network, &data.held_out)?;
    Ok(Answer {
        accuracies,
        recalibrated,
    })
}
