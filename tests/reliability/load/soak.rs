//! Thousands of training steps, after which a process has no more memory than before.
//!
//! Each soak is a process of its own, so that what other sections keep does not disturb its figure.

use std::process::Command;
use std::time::Duration;

use serde::Serialize;
use wgnorm::Device;

use super::soaked::{self, Seen, Soak};
use crate::effort::Effort;
use crate::report::Report;

/// What memory may grow by after the warm-up.
const ALLOWED: i64 = 8 << 20;
/// No soak takes as long, unless it hangs.
const LIMIT: Duration = Duration::from_secs(1200);
/// How a child learns what to do.
const NAME: &str = "WGNORM_SOAK";
const STEPS: &str = "WGNORM_SOAK_STEPS";
/// What a child's answer begins with.
const SEEN: &str = "seen: ";

/// An entry of the section's key in the file.
#[derive(Serialize)]
struct Entry {
    name: &'static str,
    steps: u64,
    growth_bytes: Option<i64>,
}

pub(crate) fn run(_: &Device, effort: &Effort, report: &mut Report) {
    let steps = effort.soak_steps;
    let mut entries = Vec::new();
    for soak in Soak::ALL {
        match in_a_process(soak, steps) {
            Ok(seen) => {
                judge(soak, steps, &seen, report);
                entries.push(Entry {
                    name: soak.name(),
                    steps,
                    growth_bytes: seen.growth_bytes,
                });
            }
            Err(error) => report.violation(format!("soak, {}: {error}", soak.name())),
        }
    }
    report.set("soak", &entries);
}

/// Says what has become more than it may, and for memory what plain wgpu makes of as many steps.
fn judge(soak: Soak, steps: u64, seen: &Seen, report: &mut Report) {
    let name = soak.name();
    for (object, more) in &seen.more {
        report.violation(format!(
            "soak, {name}: {more} more {object} after {steps} steps"
        ));
    }
    match seen.growth_bytes {
        None => println!("soak, {name}: this system does not say how much memory a process has"),
        Some(growth) if growth < ALLOWED => {
            println!("soak, {name}: grew by {growth} bytes in {steps} steps");
        }
        Some(growth) => {
            let control = in_a_process(Soak::Control, steps);
            let control = control.map(|seen| seen.growth_bytes);
            report.violation(format!(
                "soak, {name}: grew by {growth} bytes in {steps} steps, plain wgpu by {control:?}"
            ));
        }
    }
}

/// Runs this test binary again, for nothing but [`child`].
fn in_a_process(soak: Soak, steps: u64) -> Result<Seen, String> {
    let binary = std::env::current_exe().map_err(|error| error.to_string())?;
    let test = format!("{}::child", module_path!().split_once("::").unwrap().1);
    let output = Command::new(binary)
        .args(["--ignored", "--exact", &test, "--nocapture"])
        .env(NAME, soak.name())
        .env(STEPS, steps.to_string())
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let seen = text.lines().find_map(|line| line.strip_prefix(SEEN));
    let Some(seen) = seen else {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {errors}", output.status));
    };
    serde_json::from_str(seen).map_err(|error| error.to_string())
}

#[test]
#[ignore = "what a soak runs in a process of its own"]
fn child() {
    let (Ok(name), Ok(steps)) = (std::env::var(NAME), std::env::var(STEPS)) else {
        return;
    };
    std::thread::spawn(|| {
        std::thread::sleep(LIMIT);
        eprintln!("it has not come to an end in {LIMIT:?}");
        std::process::exit(1);
    });
    let seen = soaked::run(Soak::named(&name).unwrap(), steps.parse().unwrap());
    println!("\n{SEEN}{}", serde_json::to_string(&seen).unwrap());
}
