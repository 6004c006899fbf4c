//! Plans of random shapes and limits, each held against what every plan has to be.
//!
//! Plans are no part of the API, and what they are checked by is the kernels' index maps written a
//! second time in the crate's unit tests. So this runs that test, in the same profile, and reads what
//! it counted: no second copy of the planner, and nothing public for its sake.

use std::process::Command;

use serde::Serialize;
use wgnorm::Device;

use crate::effort::Effort;
use crate::report::Report;

const TEST: &str = "plan::tests::fuzz::ten_million_random_plans_are_sound";
/// Begins the line that the test prints.
const RESULT: &str = "random plans:";
/// What the test draws from.
const SEED: u64 = 2;

#[derive(Serialize)]
struct Figures {
    cases: u64,
    violations: u64,
}

pub(crate) fn run(_: &Device, effort: &Effort, report: &mut Report) {
    report.seeds("plans", &[SEED]);
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "--offline", "--lib"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    cargo.args([TEST, "--", "--exact", "--ignored", "--nocapture"]);
    cargo.env("WGNORM_PLANS", effort.plans.to_string());
    let output = match cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output() {
        Ok(output) => output,
        Err(error) => return report.violation(format!("cargo did not run: {error}")),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let Some(figures) = parse(&text) else {
        let error = String::from_utf8_lossy(&output.stderr);
        return report.violation(format!("no plans were counted: {text}{error}"));
    };
    if figures.violations > 0 {
        // Each one is printed in full.
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        report.violation(format!("{} plans are not sound", figures.violations));
    } else if figures.cases != effort.plans || !output.status.success() {
        report.violation(format!(
            "{} plans were counted, {}",
            figures.cases, output.status
        ));
    }
    report.set("plans", &figures);
}

fn parse(text: &str) -> Option<Figures> {
    let (_, counts) = text.lines().find_map(|line| line.split_once(RESULT))?;
    let mut words = counts.split_whitespace();
    Some(Figures {
        cases: words.next()?.parse().ok()?,
        violations: words.next()?.parse().ok()?,
    })
}
