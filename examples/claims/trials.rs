//! The same measurement on several networks from several seeds.

use std::error::Error;
use std::path::Path;

use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;
use wgnorm::Device;

use crate::common::data::Split;
use crate::common::network::{Blueprint, Network};
use crate::common::optimizer::{Method, Optimizer};
use crate::common::several::{self, Measured};
use crate::common::training::{self, Course};

/// What every measurement works with.
pub(crate) struct Bench<'a> {
    pub(crate) device: &'a Device,
    pub(crate) data: &'a Split,
    pub(crate) folder: &'a Path,
}

impl Bench<'_> {
    /// Makes a network of each blueprint from each seed, takes some numbers of it, and gives for
    /// each blueprint what each of the numbers is over the seeds.
    pub(crate) fn measure(
        &self,
        blueprints: &[Blueprint],
        seeds: u64,
        numbers: impl Fn(&mut Network, &mut Pcg64Mcg) -> Result<Vec<f32>, Box<dyn Error>> + Sync,
    ) -> Result<Vec<Vec<Measured>>, Box<dyn Error>> {
        let jobs: Vec<(&Blueprint, u64)> = blueprints
            .iter()
            .flat_map(|blueprint| (1..=seeds).map(move |seed| (blueprint, seed)))
            .collect();
        let answers = several::all(self.device, &jobs, |&(blueprint, seed)| {
            let mut rng = Pcg64Mcg::seed_from_u64(seed);
            let mut network = Network::new(self.device, blueprint, &mut rng)?;
            numbers(&mut network, &mut rng)
        })?;
        let over_seeds = |answers: &[Vec<f32>]| -> Vec<Measured> {
            let number = |i| answers.iter().map(|answer| answer[i]).collect::<Vec<_>>();
            (0..answers[0].len())
                .map(|i| Measured::of(&number(i)))
                .collect()
        };
        Ok(answers.chunks(seeds as usize).map(over_seeds).collect())
    }

    /// Accuracies on the held-out digits after each epoch in batches of 32.
    pub(crate) fn learn(
        &self,
        network: &mut Network,
        rng: &mut Pcg64Mcg,
        epochs: usize,
    ) -> Result<Vec<f32>, Box<dyn Error>> {
        let course = Course {
            optimizer: Optimizer {
                method: Method::Sgd,
                rate: 0.05,
            },
            batch: 32,
            epochs,
            looks: epochs,
        };
        training::train(network, course, self.data, rng)
    }
}

/// The last number of a measurement.
pub(crate) fn last(numbers: &[Measured]) -> Measured {
    let none = Measured {
        mean: f32::NAN,
        spread: f32::NAN,
        count: 0,
    };
    numbers.last().copied().unwrap_or(none)
}
