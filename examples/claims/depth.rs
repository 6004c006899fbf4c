//! The size of the gradient, layer by layer, in a network of ten dense layers.

use std::error::Error;

use crate::claim::Claim;
use crate::common::drawing::{Axis, plain, power_of_ten};
use crate::common::network::Blueprint;
use crate::common::norm::Kind;
use crate::common::several::Measured;
use crate::common::training;
use crate::picture::{self, Series};
use crate::trials::{Bench, last};

/// 64 pixels, nine hidden layers of 64, ten digits.
const SIZES: [usize; 11] = [64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 10];
const LAYERS: usize = SIZES.len() - 1;
const NAMES: [&str; 3] = ["no norm", "batch norm", "layer norm"];
const SEEDS: u64 = 3;
const EPOCHS: usize = 3;

/// How many digits the first gradients are taken of.
const DIGITS: usize = 256;

pub(crate) fn run(bench: &Bench) -> Result<Vec<Claim>, Box<dyn Error>> {
    let blueprints = [None, Some(Kind::Batch), Some(Kind::Layer)].map(|norm| Blueprint {
        sizes: &SIZES,
        norm,
        ..Blueprint::default()
    });
    let rows: Vec<usize> = (0..DIGITS).collect();
    let sizes = bench.measure(&blueprints, SEEDS, |network, _| {
        let step = training::look(network, bench.data.train.select(&rows))?;
        Ok(step.gradients.iter().map(|g| g.arriving).collect())
    })?;
    let learned = bench.measure(&blueprints, SEEDS, |network, rng| {
        bench.learn(network, rng, EPOCHS)
    })?;
    let learned: Vec<Measured> = learned.iter().map(|curve| last(curve)).collect();
    print_table(&sizes, &learned);
    draw(bench, &sizes)?;
    Ok(claims(&sizes, &learned))
}

fn print_table(sizes: &[Vec<Measured>], learned: &[Measured]) {
    println!("\n3. Ten dense layers: root mean square of the gradient that arrives, at the start");
    let header = NAMES.map(|name| format!("{name:>12}")).join(" | ");
    println!("  {:>8} | {header}", "layer");
    for layer in 0..LAYERS {
        let row = sizes.iter().map(|sizes| sizes[layer].mean);
        let row: Vec<String> = row.map(|size| format!("{size:>12.2e}")).collect();
        println!("  {:>8} | {}", layer + 1, row.join(" | "));
    }
    let row = learned.iter().map(|accuracy| accuracy.percent());
    let row: Vec<String> = row.map(|percent| format!("{percent:>12}")).collect();
    println!("  {:>8} | {}", "learned", row.join(" | "));
    println!("  learned: held-out digits right after {EPOCHS} epochs, in %");
}

fn claims(sizes: &[Vec<Measured>], learned: &[Measured]) -> Vec<Claim> {
    // The first layer and the last stand beside pixels and logits, which no norm has made alike.
    let kept = |i: usize| sizes[i][1].mean / sizes[i][LAYERS - 2].mean;
    let numbers = |i: usize| {
        let (second, ninth) = (sizes[i][1].mean, sizes[i][LAYERS - 2].mean);
        format!("{second:.1e} at layer 2, {ninth:.1e} at layer 9")
    };
    let growth = kept(1).powf(1.0 / (LAYERS - 3) as f32);
    let alike = |ratio: f32| (0.1..=10.0).contains(&ratio);
    vec![
        Claim::new(
            "without norm, gradients fade on their way to the first layers",
            kept(0) < 0.1,
            numbers(0),
        ),
        Claim::new(
            "with batch norm they arrive about as large as they set out",
            alike(kept(1)),
            numbers(1),
        ),
        Claim::new(
            "with layer norm they do as well",
            alike(kept(2)),
            numbers(2),
        ),
        Claim::new(
            "though with batch norm they grow by 1.21 a layer on their way (Yang et al. 2019)",
            (growth - 1.21).abs() < 0.06,
            format!("{growth:.2} a layer, from layer 9 to layer 2"),
        ),
        Claim::new(
            "a network of ten layers learns with batch norm, and without it does not",
            learned[1].mean > 0.9 && learned[0].mean < 0.5,
            format!(
                "{} % without norm, {} % with batch norm, {} % with layer norm",
                learned[0].percent(),
                learned[1].percent(),
                learned[2].percent()
            ),
        ),
    ]
}

fn draw(bench: &Bench, sizes: &[Vec<Measured>]) -> Result<(), Box<dyn Error>> {
    let exponent = |size: f32| f64::from(size).log10();
    let series: Vec<Series> = NAMES
        .iter()
        .zip(sizes)
        .map(|(name, sizes)| {
            let exponents = sizes.iter().map(|size| (exponent(size.mean), 0.0));
            Series::new(name, (1..).map(f64::from), exponents)
        })
        .collect();
    let x = Axis {
        label: "layer",
        range: 1.0..LAYERS as f64,
        values: LAYERS,
        format: plain,
    };
    let y = Axis {
        label: "root mean square of the gradient",
        range: -8.0..-1.0,
        values: 8,
        format: power_of_ten,
    };
    let path = bench.folder.join("gradients.svg");
    picture::draw(&path, "Gradients by layer, at the start", &x, &y, &series)
}
