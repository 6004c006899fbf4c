//! Random cases of every operation against float64, and a way to each that fails.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;
use wgnorm::Device;

use crate::draw::Drawn;
use crate::effort::Effort;
use crate::replayable;
use crate::report::Report;

/// Runs the case of one number alone.
const ONE_CASE: &str = "WGNORM_CASE";
/// A device keeps what it has compiled, and ever new cases compile ever more.
const CASES_PER_DEVICE: u64 = 1_000;

#[derive(Default, Serialize)]
struct Figures {
    cases: u64,
    failures: u64,
    /// Over y and dx in f32.
    worst_l2: f64,
}

pub(crate) fn run(device: &Device, effort: &Effort, report: &mut Report) {
    let one = std::env::var(ONE_CASE).ok();
    let seeds = match &one {
        Some(seed) => {
            let seed: u64 = seed.parse().expect("WGNORM_CASE is the number of a case");
            seed..seed + 1
        }
        None => 0..effort.random,
    };
    let mut figures = Figures::default();
    let mut fresh = None;
    for seed in seeds {
        if seed > 0 && seed.is_multiple_of(CASES_PER_DEVICE) {
            // The one before goes first.
            drop(fresh.take());
            fresh = Some(Device::new().unwrap());
        }
        let device = fresh.as_ref().unwrap_or(device);
        let drawn = Drawn::of(device, seed);
        if one.is_some() {
            println!("{drawn:?}");
        }
        figures.cases += 1;
        let t = std::time::Instant::now();
        match catch_unwind(AssertUnwindSafe(|| drawn.check(device))) {
            Ok(error) => figures.worst_l2 = figures.worst_l2.max(error),
            Err(_) => {
                figures.failures += 1;
                report.violation(failure(&drawn, seed));
            }
        }
        if seed % 50 == 0 {
            eprintln!(
                "RSS {}",
                std::fs::read_to_string("/proc/self/status")
                    .unwrap()
                    .lines()
                    .find(|l| l.starts_with("VmRSS"))
                    .unwrap()
            );
        }
        eprintln!("T {seed} {:.3} {drawn:?}", t.elapsed().as_secs_f64());
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
