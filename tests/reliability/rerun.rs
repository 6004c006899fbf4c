//! The same bits again: on a new device, and in another process with another number of threads.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, Stdio};
use std::thread;

use serde::Serialize;
use wgnorm::Device;

use crate::draw::Drawn;
use crate::effort::Effort;
use crate::flavour::{Devices, numbers};
use crate::report::Report;

/// Tells a child whether to run the cases of the full effort.
const FULL: &str = "WGNORM_RERUN_FULL";
/// Begins each line of a child's results.
const RESULT: &str = "hash of its bits:";
/// How many threads Mesa's software drivers run.
const THREADS: &str = "LP_NUM_THREADS";

#[derive(Default, Serialize)]
struct Figures {
    cases: u64,
    different_bits: u64,
}

/// A hash of all that came out of a case; nothing where it panicked, which prints why.
type Outcome = Option<u64>;

pub(crate) fn run(_: &Device, effort: &Effort, report: &mut Report) {
    let seeds = seeds(effort);
    report.seeds("rerun", &seeds);
    // It computes while this process does, and what it prints is read meanwhile.
    let child = spawn(effort);
    let elsewhere = thread::spawn(|| collect(child));
    let mut figures = Figures::default();
    let mut first = Vec::new();
    let [mut devices, mut others] = [(); 2].map(|()| Devices::new());
    for &seed in &seeds {
        let device = devices.get(seed);
        let drawn = Drawn::of(device, seed);
        let bits = outcome(device, &drawn);
        first.push(bits);
        figures.cases += 1;
        if bits.is_none() || bits != outcome(others.get(seed), &drawn) {
            figures.different_bits += 1;
            report.violation(format!("case {seed} on a new device differs, {drawn:?}"));
        }
    }
    let elsewhere = elsewhere.join().unwrap();
    if elsewhere.len() != first.len() {
        report.violation(format!("the other process ran {} cases", elsewhere.len()));
    }
    for (seed, (here, there)) in seeds.iter().zip(first.iter().zip(&elsewhere)) {
        if here != there {
            figures.different_bits += 1;
            report.violation(format!("case {seed} in another process differs"));
        }
    }
    report.set("rerun", &figures);
}

fn seeds(effort: &Effort) -> Vec<u64> {
    numbers(effort.reruns, effort.flavours.min(50)).collect()
}

fn outcome(device: &Device, drawn: &Drawn) -> Outcome {
    let bits = catch_unwind(AssertUnwindSafe(|| drawn.bits(device))).ok()?;
    let mut hasher = DefaultHasher::new();
    bits.hash(&mut hasher);
    Some(hasher.finish())
}

fn spawn(effort: &Effort) -> Child {
    let threads = match std::env::var(THREADS) {
        Ok(threads) if threads == "3" => "1",
        _ => "3",
    };
    let full = u8::from(*effort == Effort::FULL);
    let test = ["--exact", "rerun::cases_of_a_child"];
    Command::new(std::env::current_exe().unwrap())
        .args(test)
        .args(["--ignored", "--nocapture"])
        .env(FULL, full.to_string())
        .env(THREADS, threads)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn collect(child: Child) -> Vec<Outcome> {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    // The harness writes the test's name before what the test itself prints first.
    let results = text.lines().filter_map(|line| line.split_once(RESULT));
    results.map(|(_, hash)| hash.trim().parse().ok()).collect()
}

#[test]
#[ignore = "a child of the reliability test runs it"]
fn cases_of_a_child() {
    let Ok(full) = std::env::var(FULL) else {
        return;
    };
    let effort = match full.as_str() {
        "1" => Effort::FULL,
        _ => Effort::BRIEF,
    };
    let mut devices = Devices::new();
    for seed in seeds(&effort) {
        let device = devices.get(seed);
        match outcome(device, &Drawn::of(device, seed)) {
            Some(hash) => println!("{RESULT} {hash}"),
            None => println!("{RESULT} panicked"),
        }
    }
}
