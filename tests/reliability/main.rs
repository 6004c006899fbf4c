//! What this crate promises, counted: one command runs every kind of check many times and writes
//! target/reliability.json.
//!
//! `cargo test --release --test reliability -- --ignored` takes the full counts, the ordinary
//! suite a short version of the same, which goes to target/reliability-brief.json. Either writes its
//! file first and fails afterwards, so that the figures of a failure are there to be read.
//! `WGNORM_SECTIONS=exact,plans` runs only those.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![allow(
    clippy::float_cmp,
    reason = "where bits have to be equal they are compared"
)]

mod conditioning;
mod draw;
mod effort;
mod ema;
mod exact;
mod faults;
mod flavour;
mod isolation;
mod load;
mod planning;
mod random;
mod replayable;
mod report;
mod rerun;
mod shaders;
mod workers;

#[allow(dead_code, reason = "shared with the tests of the GPU")]
#[path = "../gpu/bounds.rs"]
mod bounds;
#[allow(dead_code, reason = "shared with the tests of the GPU")]
#[path = "../gpu/case.rs"]
mod case;
#[allow(dead_code, reason = "shared with the examples")]
#[path = "../../examples/common/drawing.rs"]
mod drawing;
#[allow(dead_code, reason = "shared with the tests of the GPU")]
#[path = "../gpu/family_case.rs"]
mod family_case;
#[allow(dead_code, reason = "shared with the tests of the GPU")]
#[path = "../gpu/family_check.rs"]
mod family_check;
#[allow(dead_code, reason = "shared with the tests of the GPU")]
#[path = "../gpu/family_oracle.rs"]
mod family_oracle;
#[allow(dead_code, reason = "shared with the tests of the GPU")]
#[path = "../gpu/family_run.rs"]
mod family_run;
#[allow(dead_code, reason = "shared with the tests of the GPU")]
#[path = "../gpu/guarded.rs"]
mod guarded;
#[allow(dead_code, reason = "shared with the tests of the GPU")]
#[path = "../gpu/integers.rs"]
mod integers;
#[cfg(feature = "safetensors")]
#[allow(dead_code, reason = "shared with the tests of state files")]
#[path = "../state/mutants.rs"]
mod mutants;
#[allow(dead_code, reason = "shared with the tests of the GPU")]
#[path = "../gpu/others.rs"]
mod others;
#[allow(dead_code, reason = "shared with the tests of the GPU")]
#[path = "../gpu/plans.rs"]
mod plans;
#[allow(dead_code, reason = "shared with the tests of the GPU")]
#[path = "../gpu/renewed.rs"]
mod renewed;
#[allow(dead_code, reason = "shared with the tests of the GPU")]
#[path = "../gpu/spectral_case.rs"]
mod spectral_case;
#[allow(dead_code, reason = "shared with the tests of the GPU")]
#[path = "../gpu/stored.rs"]
mod stored;
#[path = "../../src/kernels/contract/targets.rs"]
mod targets;

use std::sync::LazyLock;
use std::sync::atomic::Ordering;

use wgnorm::{Device, Error};

use effort::Effort;
use report::Report;

/// The device that sections share which need none of their own; `None` after a loud skip.
fn device() -> Option<&'static Device> {
    static DEVICE: LazyLock<Option<Device>> = LazyLock::new(|| match Device::new() {
        Ok(device) => Some(device),
        Err(error @ Error::NoAdapter { .. }) => {
            let required = std::env::var("WGNORM_REQUIRE_GPU").is_ok_and(|value| value == "1");
            assert!(!required, "WGNORM_REQUIRE_GPU=1, but {error}");
            eprintln!("\n*** SKIPPED: NOTHING WAS CHECKED: {error} ***\n");
            None
        }
        Err(error) => panic!("{error}"),
    });
    DEVICE.as_ref()
}

/// A section adds its keys to the report, and a line for all that went wrong.
type Section = fn(&Device, &Effort, &mut Report);

/// Every section by its name, in the order in which they run.
const SECTIONS: [(&str, Section); 11] = [
    ("random", random::run),
    ("exact", exact::run),
    ("rerun", rerun::run),
    ("conditioning", conditioning::run),
    ("nan_isolation", isolation::run),
    ("ema_drift", ema::run),
    ("plans", planning::run),
    ("shaders", shaders::run),
    ("faults", faults::run),
    ("threads", load::threads::run),
    ("soak", load::soak::run),
];

fn run(effort: &Effort, file: &str) {
    let Some(device) = device() else { return };
    let wanted = std::env::var("WGNORM_SECTIONS").ok();
    let wanted = |name: &str| {
        let names = wanted.as_ref();
        names.is_none_or(|names| names.split(',').any(|wanted| wanted == name))
    };
    let mut report = Report::begin(device, effort);
    for (name, section) in SECTIONS {
        if wanted(name) {
            report.time(name, |report| section(device, effort, report));
        }
    }
    for (key, found) in [
        ("canary_hits", &guarded::CANARY_HITS),
        ("poison_left", &guarded::POISON_LEFT),
    ] {
        report.set(key, &found.load(Ordering::Relaxed));
    }
    report.finish(file);
}

#[test]
#[ignore = "the full counts take an hour"]
fn in_full() {
    run(&Effort::FULL, "reliability.json");
}

#[test]
fn in_brief() {
    run(&Effort::BRIEF, "reliability-brief.json");
}
