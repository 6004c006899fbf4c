//! Dropout with and without batch norm.

use std::error::Error;

use rand_pcg::Pcg64Mcg;

use crate::claim::Claim;
use crate::common::network::{Blueprint, Network};
use crate::common::norm::Kind;
use crate::common::several::Measured;
use crate::picture::{self, Series, epoch_axis, percent_axis};
use crate::trials::Bench;

const EPOCHS: usize = 8;
const SEEDS: u64 = 10;
const SHARE: f32 = 0.3;
const NAMES: [&str; 4] = ["neither", "dropout", "batch norm", "both"];

pub(crate) fn run(bench: &Bench) -> Result<Vec<Claim>, Box<dyn Error>> {
    let batch = Some(Kind::Batch);
    let variants = [(None, 0.0), (None, SHARE), (batch, 0.0), (batch, SHARE)];
    let blueprints = variants.map(|(norm, dropout)| Blueprint {
        norm,
        dropout,
        ..Blueprint::default()
    });
    let numbers = bench.measure(&blueprints, SEEDS, |network, rng| {
        let mut numbers = bench.learn(network, rng, EPOCHS)?;
        numbers.push(variance_shift(bench, network, rng)?);
        Ok(numbers)
    })?;
    println!("\n4. Dropout of {SHARE} after each ReLU, {EPOCHS} epochs");
    println!("  {:>12} | {:>12} | variance", "", "right, in %");
    for (name, numbers) in NAMES.iter().zip(&numbers) {
        let (accuracy, shift) = (numbers[EPOCHS - 1], numbers[EPOCHS].mean);
        let shift = if shift > 0.0 {
            format!("{shift:.2}")
        } else {
            "-".to_owned()
        };
        println!("  {name:>12} | {:>12} | {shift:>8}", accuracy.percent());
    }
    println!(
        "  variance: what the second batch norm saw in training, by what it sees in inference"
    );
    draw(bench, &numbers)?;
    Ok(claims(&numbers))
}

/// The running variance of the second hidden layer by the variance of the same layer for all
/// training digits without dropout; 0 where there is none.
fn variance_shift(
    bench: &Bench,
    network: &mut Network,
    _: &mut Pcg64Mcg,
) -> Result<f32, Box<dyn Error>> {
    let second = |network: &Network| -> Result<Option<f32>, Box<dyn Error>> {
        let vars = network.running_vars()?;
        Ok(vars.get(1).map(|vars| vars.iter().sum()))
    };
    let training = second(network)?;
    network.recalibrate(&bench.data.train.pixels)?;
    let ratio = training.zip(second(network)?).map(|(a, b)| a / b);
    Ok(ratio.unwrap_or(0.0))
}

fn claims(numbers: &[Vec<Measured>]) -> Vec<Claim> {
    let accuracy = |i: usize| numbers[i][EPOCHS - 1];
    let [neither, dropout, norm, both] = [0, 1, 2, 3].map(accuracy);
    let (plain, dropped) = (numbers[2][EPOCHS], numbers[3][EPOCHS]);
    vec![
        Claim::new(
            "batch norm gains at least what dropout gains",
            norm.is_above(neither) && !dropout.is_above(norm),
            format!(
                "neither {} %, dropout {} %, batch norm {} %",
                neither.percent(),
                dropout.percent(),
                norm.percent()
            ),
        ),
        Claim::new(
            "dropout adds nothing where there is batch norm",
            !both.is_above(norm),
            format!("alone {} %, both {} %", norm.percent(), both.percent()),
        ),
        Claim::new(
            "dropout before a batch norm makes its running variance too large",
            dropped.mean > 1.1 && dropped.is_above(plain),
            format!(
                "{:.2} ± {:.2} times that of inference, without dropout {:.2} ± {:.2} times",
                dropped.mean, dropped.spread, plain.mean, plain.spread
            ),
        ),
        Claim::new(
            "so that both together are worse than batch norm alone",
            norm.is_above(both),
            format!("alone {} %, both {} %", norm.percent(), both.percent()),
        ),
    ]
}

fn draw(bench: &Bench, numbers: &[Vec<Measured>]) -> Result<(), Box<dyn Error>> {
    let epochs = || (1..).map(f64::from);
    let series: Vec<Series> = NAMES
        .iter()
        .zip(numbers)
        .map(|(name, numbers)| Series::percent(name, epochs(), &numbers[..EPOCHS]))
        .collect();
    picture::draw(
        &bench.folder.join("dropout.svg"),
        "Dropout and batch norm",
        &epoch_axis(EPOCHS),
        &percent_axis(80.0),
        &series,
    )
}
