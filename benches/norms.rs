//! Measures the norms against a copy of the same size, after it has verified what it measures:
//!
//! `cargo bench` for the table, `cargo bench -- --help` for the options.
//!
//! Each operation is held against the float64 oracle on fresh random data, and one that fails is
//! not timed. Then copy, inference, forward, backward and their floors (probes that only load and
//! store what the strategies must) take turns, so that a change of the machine's mood meets them
//! all, and the table shows medians. The time is the GPU's own where the
//! adapter has timestamps between commands, and otherwise that from submitting to having waited.
//! An operation with a tail takes turns with the same without, and with probes of what comes on top;
//! one with a mask or in pieces with that of the whole batch.
//!
//! `--test`, and `cargo test` on benchmarks, runs everything once to see that it works.
//!
//! Exit code 0: all is well. 1: a result is wrong, or slower than `--fail-above` allows. 2: the
//! arguments or a file are wrong. 3: there is no adapter, or it failed.

#![allow(clippy::cast_sign_loss, reason = "times and sizes are not negative")]

#[path = "norms/args.rs"]
mod args;
#[path = "norms/case.rs"]
mod case;
#[path = "norms/clock.rs"]
mod clock;
#[path = "norms/copy.rs"]
mod copy;
#[path = "norms/cost.rs"]
mod cost;
#[path = "norms/device.rs"]
mod device;
#[path = "norms/errors.rs"]
mod errors;
#[path = "norms/launch.rs"]
mod launch;
#[path = "norms/measure.rs"]
mod measure;
#[path = "norms/norm.rs"]
mod norm;
#[path = "norms/operands.rs"]
mod operands;
#[path = "norms/order.rs"]
mod order;
#[path = "norms/pieces.rs"]
mod pieces;
#[path = "norms/probe.rs"]
mod probe;
#[path = "norms/report/mod.rs"]
mod report;
#[path = "norms/selfcheck.rs"]
mod selfcheck;
#[path = "norms/session.rs"]
mod session;
#[path = "norms/stored.rs"]
mod stored;
#[path = "norms/suite.rs"]
mod suite;
#[path = "norms/tail.rs"]
mod tail;
#[path = "norms/targets.rs"]
mod targets;
#[path = "norms/turns.rs"]
mod turns;
#[path = "norms/valid.rs"]
mod valid;
#[path = "norms/verify.rs"]
mod verify;
#[path = "norms/verify_relatives.rs"]
mod verify_relatives;
#[path = "norms/way.rs"]
mod way;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;

use args::Args;
use device::Gpu;
use report::{compare, html, json, peer};

/// Any error on its way to `main`.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Why the program ends early, as exit codes.
const WRONG: u8 = 1;
const BAD_ARGUMENTS: u8 = 2;
const NO_ADAPTER: u8 = 3;

fn main() -> ExitCode {
    let args = Args::parse();
    // Files are read before the device is opened: a wrong one is wrong on every machine.
    let files: Outcome<Vec<peer::Peer>> = args.peer.iter().map(|path| peer::read(path)).collect();
    let base = args.compare.as_deref().map(compare::read).transpose();
    let (peers, base) = match (files, base) {
        (Ok(peers), Ok(base)) => (peers, base),
        (Err(error), _) | (_, Err(error)) => return fail(BAD_ARGUMENTS, &*error),
    };
    let cases = match suite::cases(&args) {
        Ok(cases) => cases,
        Err(error) => return fail(BAD_ARGUMENTS, &*error),
    };
    let checked = if args.is_test() {
        selfcheck::run()
    } else {
        Ok(())
    };
    if let Err(error) = checked {
        return fail(WRONG, &*error);
    }
    let gpu = match Gpu::open(args.adapter.as_deref()) {
        Ok(gpu) => gpu,
        Err(error) => return fail(NO_ADAPTER, &*error),
    };
    let (report, failures) = match session::run(&args, &gpu, &cases, &peers) {
        Ok(ended) => ended,
        Err(error) => return fail(NO_ADAPTER, &*error),
    };
    if let Err(error) = write(&args, &report, &peers) {
        return fail(BAD_ARGUMENTS, &*error);
    }
    let slower = base.is_some_and(|base| !compare::print(&base, &report, args.fail_above));
    if failures > 0 || slower {
        return ExitCode::from(WRONG);
    }
    ExitCode::SUCCESS
}

fn write(args: &Args, report: &report::Report, peers: &[peer::Peer]) -> Outcome {
    if let Some(path) = &args.json {
        json::write(path, report)?;
    }
    if let Some(path) = &args.html {
        html::write(path, report, peers)?;
    }
    Ok(())
}

fn fail(code: u8, error: &dyn Error) -> ExitCode {
    eprintln!("norms: {error}");
    ExitCode::from(code)
}
