//! Random cases of every operation against float64, and a way to each that fails.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;
use wgnorm::Device;

use crate::draw::Drawn;
use crate::effort::Effort;
use crate::flavour::{Devices, numbers, same_flavour};
use crate::replayable;
use crate::report::Report;
use crate::workers;

/// Runs the case of one number alone.
const ONE_CASE: &str = "WGNORM_CASE";

#[derive(Default, Serialize)]
struct Figures {
    cases: u64,
    failures: u64,
    /// Over y and dx in f32.
    worst_l2: f64,
}

pub(crate) fn run(_: &Device, effort: &Effort, report: &mut Report) {
    let one = std::env::var(ONE_CASE).ok();
    let seeds: Vec<u64> = match &one {
        Some(seed) => vec![seed.parse().expect("WGNORM_CASE is the number of a case")],
        None => numbers(effort.random, effort.flavours).collect(),
    };
    report.seeds("random", &seeds);
    // The cases of a flavour go to one device, which compiles their kernels once.
    let flavours: Vec<&[u64]> = seeds.chunk_by(|a, b| same_flavour(*a, *b)).collect();
    let outcomes = workers::each(&flavours, Devices::new, |devices, flavour| {
        let check = |&seed| check(devices.get(seed), seed, one.is_some());
        flavour.iter().map(check).collect::<Vec<_>>()
    });
    let mut figures = Figures::default();
    for outcome in outcomes.into_iter().flatten() {
        figures.cases += 1;
        match outcome {
            Ok(error) => figures.worst_l2 = figures.worst_l2.max(error),
            Err(failure) => {
                figures.failures += 1;
                report.violation(failure);
            }
        }
    }
    report.set("random", &figures);
}

/// The error of the case of a number, or what to do about its failure.
fn check(device: &Device, seed: u64, prints: bool) -> Result<f64, String> {
    let drawn = Drawn::of(device, seed);
    if prints {
        println!("{drawn:?}");
    }
    catch_unwind(AssertUnwindSafe(|| drawn.check(device))).map_err(|_| failure(&drawn, seed))
}

/// What to do about a case that fails; the panic before it says what is wrong.
fn failure(drawn: &Drawn, seed: u64) -> String {
    let replay = match replayable::write(drawn, seed) {
        Ok(path) => format!("cargo run --release --example replay -- {path} OUT.safetensors"),
        Err(error) => format!("no file to replay, {error}"),
    };
    let again =
        format!("{ONE_CASE}={seed} WGNORM_SECTIONS=random cargo test --release --test reliability");
    format!("random case {seed}: {again}, or as planned by default: {replay}, {drawn:?}")
}
