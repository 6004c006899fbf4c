//! First weights from a tenth to ten times their usual size.

use std::error::Error;

use crate::claim::Claim;
use crate::common::drawing::{Axis, power_of_ten};
use crate::common::network::Blueprint;
use crate::common::norm::Kind;
use crate::common::several::Measured;
use crate::picture::{self, Series, percent_axis};
use crate::trials::{Bench, last};

const SCALES: [f32; 5] = [0.1, 0.3, 1.0, 3.0, 10.0];
const EPOCHS: usize = 5;
const SEEDS: u64 = 5;

/// Accuracies that are closer than this count as hardly different.
const HARDLY: f32 = 0.02;

pub(crate) fn run(bench: &Bench) -> Result<Vec<Claim>, Box<dyn Error>> {
    let accuracies = |norm| -> Result<Vec<Measured>, Box<dyn Error>> {
        let blueprints = SCALES.map(|scale| Blueprint {
            norm,
            scale,
            ..Blueprint::default()
        });
        let curves = bench.measure(&blueprints, SEEDS, |network, rng| {
            bench.learn(network, rng, EPOCHS)
        })?;
        Ok(curves.iter().map(|curve| last(curve)).collect())
    };
    let (without, with) = (accuracies(None)?, accuracies(Some(Kind::Batch))?);

    println!("\n1. First weights times a scale: held-out digits right after {EPOCHS} epochs, in %");
    println!(
        "  {:>6} | {:>12} | {:>12}",
        "scale", "no norm", "batch norm"
    );
    for ((scale, without), with) in SCALES.iter().zip(&without).zip(&with) {
        let (without, with) = (without.percent(), with.percent());
        println!("  {scale:>6} | {without:>12} | {with:>12}");
    }
    draw(bench, &[("no norm", &without), ("batch norm", &with)])?;

    let range = |row: &[Measured]| {
        let (low, high) = ends(row);
        high.mean - low.mean
    };
    let less = Claim::new(
        "with batch norm a wrong scale costs less than without",
        range(&with) < range(&without),
        format!(
            "{:.1} points with, {:.1} points without",
            100.0 * range(&with),
            100.0 * range(&without)
        ),
    );
    let (low, high) = ends(&with);
    let hardly = Claim::new(
        "with batch norm the scale of the first weights hardly matters",
        high.mean - low.mean <= HARDLY,
        format!("from {} to {} %", low.percent(), high.percent()),
    );
    let (low, high) = ends(&without);
    let matters = Claim::new(
        "without it, a wrong scale costs the training",
        high.mean - low.mean > HARDLY && high.is_above(low),
        format!("from {} to {} %", low.percent(), high.percent()),
    );
    Ok(vec![hardly, matters, less])
}

fn ends(measured: &[Measured]) -> (Measured, Measured) {
    let first = measured[0];
    let order = |a: &Measured, b: &Measured| a.mean.total_cmp(&b.mean);
    let low = measured.iter().copied().min_by(order);
    let high = measured.iter().copied().max_by(order);
    (low.unwrap_or(first), high.unwrap_or(first))
}

fn draw(bench: &Bench, rows: &[(&str, &[Measured])]) -> Result<(), Box<dyn Error>> {
    let exponents = SCALES.map(|scale| f64::from(scale).log10());
    let series = rows
        .iter()
        .map(|(name, row)| Series::percent(name, exponents, row));
    let x = Axis {
        label: "scale of the first weights",
        range: -1.1..1.1,
        values: 3,
        format: power_of_ten,
    };
    let path = bench.folder.join("scales.svg");
    let series: Vec<Series> = series.collect();
    picture::draw(&path, "First weights", &x, &percent_axis(0.0), &series)
}
