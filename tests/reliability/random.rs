//! Random cases of every operation against float64, and a way to each that fails.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;
use wgnorm::Device;

use crate::draw::Drawn;
use crate::effort::Effort;
use crate::flavour::{Devices, numbers};
use crate::replayable;
use crate::report::Report;

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
    let mut figures = Figures::default();
    let mut devices = Devices::new();
    for seed in seeds {
        let device = devices.get(seed);
        let drawn = Drawn::of(device, seed);
        if one.is_some() {
            println!("{drawn:?}");
        }
        figures.cases += 1;
        if let Ok(error) = catch_unwind(AssertUnwindSafe(|| drawn.check(device))) {
            figures.worst_l2 = figures.worst_l2.max(error);
        } else {
            figures.failures += 1;
            report.violation(failure(&drawn, seed));
        }
    }
    report.set("random", &figures);
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
