//! Batch norm before the `ReLU` and after it.

use std::error::Error;

use crate::claim::Claim;
use crate::common::network::{Blueprint, Placement};
use crate::common::norm::Kind;
use crate::picture::{self, Series, epoch_axis, percent_axis};
use crate::trials::{Bench, last};

const EPOCHS: usize = 5;
const SEEDS: u64 = 20;

pub(crate) fn run(bench: &Bench) -> Result<Vec<Claim>, Box<dyn Error>> {
    let places = [Placement::BeforeRelu, Placement::AfterRelu];
    let blueprints = places.map(|placement| Blueprint {
        norm: Some(Kind::Batch),
        placement,
        ..Blueprint::default()
    });
    let curves = bench.measure(&blueprints, SEEDS, |network, rng| {
        bench.learn(network, rng, EPOCHS)
    })?;
    println!("\n2. Batch norm before or after the ReLU: held-out digits right, in %");
    println!("  {:>6} | {:>12} | {:>12}", "epoch", "before", "after");
    for (epoch, (before, after)) in (1..).zip(curves[0].iter().zip(&curves[1])) {
        let (before, after) = (before.percent(), after.percent());
        println!("  {epoch:>6} | {before:>12} | {after:>12}");
    }
    let names = ["before the ReLU", "after the ReLU"];
    let epochs = || (1..).map(f64::from);
    let series = [0, 1].map(|i| Series::percent(names[i], epochs(), &curves[i]));
    picture::draw(
        &bench.folder.join("placement.svg"),
        "Batch norm before or after the ReLU",
        &epoch_axis(EPOCHS),
        &percent_axis(80.0),
        &series,
    )?;

    let (before, after) = (last(&curves[0]), last(&curves[1]));
    let numbers = format!("before {} %, after {} %", before.percent(), after.percent());
    let texts = [
        "before the activation is the better place",
        "after the activation is the better place",
    ];
    Ok(vec![
        Claim::new(texts[0], before.is_above(after), numbers.clone()),
        Claim::new(texts[1], after.is_above(before), numbers),
        Claim::new(
            "after the activation it learns faster at first",
            curves[1][0].is_above(curves[0][0]),
            format!(
                "before {} %, after {} % when the first epoch is over",
                curves[0][0].percent(),
                curves[1][0].percent()
            ),
        ),
    ])
}
