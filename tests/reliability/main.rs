//! What this crate promises, counted: one command runs every kind of check many times and writes
//! target/reliability.json.
//!
//! `cargo test --release --test reliability -- --ignored` takes the full counts, the ordinary
//! suite a short version of the same. Either writes the file first and fails afterwards, so that
//! the figures of a failure are there to be read. `WGNORM_SECTIONS=exact,plans` runs only those.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![allow(
    clippy::float_cmp,
    reason = "where bits have to be equal they are compared"
)]

mod effort;
mod report;
mod shaders;
#[path = "../../src/kernels/contract/targets.rs"]
mod targets;

use std::sync::LazyLock;

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
const SECTIONS: [(&str, Section); 1] = [("shaders", shaders::run)];

fn run(effort: &Effort) {
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
    report.finish();
}

#[test]
#[ignore = "the full counts take half an hour"]
fn in_full() {
    run(&Effort::FULL);
}

#[test]
fn in_brief() {
    run(&Effort::BRIEF);
}
