//! One run of the benchmark: verifies and times case after case.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Display;
use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use wgnorm::functional::Cost;
use wgnorm::{Device, Tensor, wgpu};

use crate::Outcome;
use crate::args::Args;
use crate::case::{Case, Op};
use crate::copy::{Copier, Copy};
use crate::cost;
use crate::device::Gpu;
use crate::launch;
use crate::measure::{Lane, Samples, take_turns};
use crate::operands::{Inputs, Operands};
use crate::order::Order;
use crate::probe::{Probe, Prober};
use crate::report::peer::Peer;
use crate::report::{Report, Row, say, table};
use crate::stored;
use crate::suite;
use crate::tail::Tail;
use crate::targets;
use crate::turns::Turns;
use crate::verify::{Verdict, verify};

/// What stays the same from case to case.
struct Session<'a> {
    gpu: &'a Gpu,
    peers: &'a [Peer],
    dtype: &'static str,
    samples: Samples,
    seed: u64,
    copier: Copier,
    prober: Prober,
    /// The fastest kernel to copy by the bytes of a tensor.
    best: RefCell<HashMap<u64, usize>>,
    bar: ProgressBar,
}

/// An operation whose results are right, and what it takes.
type Right = (Op, Verdict, Cost);

/// Measures all cases; returns the report and how many results were wrong.
pub(crate) fn run(
    args: &Args,
    gpu: &Gpu,
    cases: &[Case],
    peers: &[Peer],
) -> Outcome<(Report, usize)> {
    let session = Session::new(args, gpu, peers, cases.len());
    let samples = session.samples;
    let mut report = Report::new(gpu, session.seed, launch::cold_start(gpu)?);
    session.say(table::machine(&report));
    session.say(table::heading(peers));
    let mut failures = 0;
    for case in cases {
        session.bar.set_message(case.name(case.ops[0]));
        match session.case(case) {
            Ok((rows, wrong)) => {
                failures += wrong;
                report.rows.extend(rows);
            }
            // What the library refuses on this device is not measured.
            Err(error) if error.is::<wgnorm::Error>() => {
                let name = case.name(case.ops[0]);
                session.say(format!("\n{name}: skipped: {error}"));
            }
            Err(error) => return Err(error),
        }
        session.bar.inc(1);
    }
    if suite::wants_launch(args) {
        let measured = launch::measure(gpu, samples)?;
        session.say(table::launch(&measured));
        report.launch = Some(measured);
    }
    session.bar.finish_and_clear();
    if report.rows.is_empty() && failures == 0 {
        return Err("nothing could be measured".into());
    }
    say(table::footer(&report, failures));
    if !args.is_test() {
        targets::summary(&report).iter().for_each(say);
    }
    Ok((report, failures))
}

/// Shown on a terminal only, and only if the table goes there too.
fn progress_bar(cases: usize) -> ProgressBar {
    if !std::io::stdout().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(cases as u64);
    let style = ProgressStyle::with_template("[{bar:30}] {pos}/{len}, {elapsed}: {msg}");
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

impl<'a> Session<'a> {
    fn new(args: &Args, gpu: &'a Gpu, peers: &'a [Peer], cases: usize) -> Self {
        let samples = match args.samples {
            _ if args.is_test() => Samples::Once,
            Some(count) => Samples::Exactly(count),
            None => Samples::Enough,
        };
        Self {
            gpu,
            peers,
            dtype: args.dtype.name(),
            samples,
            seed: args.seed.unwrap_or_else(rand::random),
            copier: Copier::new(gpu.device.wgpu_device()),
            prober: Prober::new(gpu),
            best: RefCell::default(),
            bar: progress_bar(cases),
        }
    }

    fn say(&self, line: impl Display) {
        self.bar.suspend(|| say(line));
    }

    /// Verifies a case and times what is right; returns the rows and how many results are wrong.
    fn case(&self, case: &Case) -> Outcome<(Vec<Row>, usize)> {
        let device = &self.gpu.device;
        // Before anything is drawn or held, the library may say that it cannot do this.
        case.state_len(device)?;
        let inputs = Inputs::random(case, self.seed);
        let operands = Operands::upload(device, case, &inputs)?;
        let (mut right, mut wrong) = self.judge(case, &inputs, &operands)?;
        let mut plain = None;
        if let Some(of_whole) = case.plain() {
            let sharing = Operands::upload(device, &of_whole, &inputs)?.sharing(&operands);
            let judged = self.judge(&of_whole, &inputs, &sharing)?;
            // What is held against a wrong result is not timed either.
            right.retain(|(op, ..)| judged.0.iter().any(|(judged, ..)| judged == op));
            wrong += judged.1;
            plain = Some(sharing);
        }
        drop(inputs);
        Ok((self.time(case, (&operands, plain.as_ref()), &right)?, wrong))
    }

    /// What of a case is right, with what it takes, and how many results are wrong.
    fn judge(
        &self,
        case: &Case,
        inputs: &Inputs,
        operands: &Operands,
    ) -> Outcome<(Vec<Right>, usize)> {
        let device = &self.gpu.device;
        let mut right = Vec::new();
        let mut wrong = 0;
        for (op, verdict) in verify(device, case, inputs, operands)? {
            for failure in &verdict.failures {
                let name = case.name(op);
                let seed = self.seed;
                self.say(format!("{name}: WRONG: {failure} (--seed {seed})"));
            }
            if verdict.failures.is_empty() {
                let cost = cost::of(device, case, operands, op)?;
                right.push((op, verdict, cost));
            } else {
                wrong += 1;
            }
        }
        Ok((right, wrong))
    }

    fn time(
        &self,
        case: &Case,
        (operands, plain): (&Operands, Option<&Operands>),
        ops: &[Right],
    ) -> Outcome<Vec<Row>> {
        let device = &self.gpu.device;
        let tensors = [&operands.x, &operands.y].map(|tensor| stored::words(device, tensor));
        let [x, y] = tensors;
        let (x, y) = (x?, y?);
        let copies = self.copier.bind(&x, &y);
        let best = self.best_copy(&copies, [&x, &y])?;
        let orders = self.prober.orders(case);
        let probes = self.probes(case, operands, ops, &orders)?;
        let mut lanes = vec![copy_lane(&copies[0]), copy_lane(&copies[best])];
        lanes.extend(copies.last().map(copy_lane));
        for (op, ..) in ops {
            lanes.push(op_lane(device, operands, *op));
            // Side by side, since what went before is what is warm.
            lanes.extend(plain.map(|plain| op_lane(device, plain, *op)));
        }
        lanes.extend(probes.iter().map(probe_lane));
        take_turns(&self.gpu.clock, &mut lanes, self.samples)?;
        let mut rows = Vec::new();
        let turns = Turns::of(&lanes, ops.len(), plain.is_some(), &orders);
        for (i, op) in ops.iter().enumerate() {
            let row = Row {
                record_ns: launch::record_ns(self.gpu, operands, op.0)? as u64,
                best_copy_kernel: copies[best].name,
                ..self.row(case, op, turns.op(i), turns.copies)
            };
            let row = turns.complete(row, case, (i, op.0));
            let is_cpu = self.gpu.info.device_type == wgpu::DeviceType::Cpu;
            rows.push(Row {
                target: targets::figure(&row, is_cpu),
                ..row
            });
        }
        self.say(table::block(&rows, self.peers));
        Ok(rows)
    }

    /// The probes of each operation in each order, after it was seen that they leave nothing out. Behind a
    /// tail follow, for each order, one that loads an activation and one that loads and stores it.
    fn probes(
        &self,
        case: &Case,
        operands: &Operands,
        ops: &[Right],
        orders: &[Order],
    ) -> Outcome<Vec<Probe>> {
        let mut probes = Vec::new();
        for (op, _, cost) in ops {
            let work = (*op, targets::is_split(cost.strategy));
            for &order in orders {
                if let Some(probe) = self.prober.bind(case, operands, work, order) {
                    probe.verify(self.gpu, operands, *op)?;
                    probes.push(probe);
                }
            }
        }
        if case.tail != Tail::None {
            for &order in orders {
                probes.extend(
                    self.prober
                        .bind_passes(case, operands, order)
                        .into_iter()
                        .flatten(),
                );
            }
        }
        Ok(probes)
    }

    /// A row from its lane and those of the copies: the yardstick, the best kernel, the command.
    fn row(
        &self,
        case: &Case,
        (op, verdict, cost): &Right,
        lane: &Lane<'_>,
        copies: &[Lane<'_>],
    ) -> Row {
        let medians = copies.iter().map(Lane::median);
        let fastest = medians.fold(f64::INFINITY, f64::min);
        let ideal_passes = op.ideal_passes() + case.tail.ideal_passes();
        let ideal_mask = case.way.ideal_mask_bytes(*op, case.n() as u64);
        Row {
            suite: case.suite.to_owned(),
            norm: case.norm.name(),
            tail: case.tail.name(),
            way: case.way.name(),
            op: op.name().to_owned(),
            shape: case.dims.0.clone(),
            layout: case.layout.name().to_owned(),
            dtype: self.dtype.to_owned(),
            strategy: cost.strategy.to_owned(),
            dispatches: cost.dispatches,
            median_ns: lane.median() as u64,
            copy_ns: copies[0].median() as u64,
            best_copy_ns: fastest as u64,
            best_copy_kernel: "",
            best_copy_kernel_ns: copies[1].median() as u64,
            copy_command_ns: copies[2].median() as u64,
            ratio: lane.median() / copies[0].median(),
            samples_ns: whole(lane),
            copy_samples_ns: whole(&copies[0]),
            wall_ns: lane.median_wall() as u64,
            record_ns: 0,
            floor_ns: None,
            floor_order: None,
            sequential_floor_ns: None,
            plain_ns: None,
            allowed_ns: None,
            target: None,
            max_error: verdict.max_error,
            pass_bytes: case.bytes(),
            traffic_bytes: cost.bytes,
            ideal_bytes: (ideal_passes * case.bytes() as f64) as u64 + ideal_mask,
        }
    }

    /// Verifies all ways to copy and finds the fastest kernel, once for each size of tensor.
    fn best_copy(&self, copies: &[Copy], tensors: [&Tensor; 2]) -> Outcome<usize> {
        let bytes = tensors[0].bytes();
        if let Some(&best) = self.best.borrow().get(&bytes) {
            return Ok(best);
        }
        let clock = &self.gpu.clock;
        for copy in copies {
            copy.verify(&self.gpu.device, clock, tensors)?;
        }
        let kernels = &copies[..copies.len() - 1];
        let mut lanes: Vec<Lane<'_>> = kernels.iter().map(copy_lane).collect();
        let samples = match self.samples {
            Samples::Once => Samples::Once,
            // This only picks one, which is then measured with the others.
            _ => Samples::Exactly(5),
        };
        take_turns(clock, &mut lanes, samples)?;
        let medians = lanes.iter().map(Lane::median).enumerate();
        let best = medians.min_by(|a, b| a.1.total_cmp(&b.1));
        let best = best.map_or(0, |(best, _)| best);
        self.best.borrow_mut().insert(bytes, best);
        Ok(best)
    }
}

fn copy_lane(copy: &Copy) -> Lane<'_> {
    Lane::new(|encoder, times| {
        copy.record(encoder, times);
        Ok(())
    })
}

fn op_lane<'a>(device: &'a Device, operands: &'a Operands, op: Op) -> Lane<'a> {
    Lane::new(move |encoder, times| {
        let mut recorder = device.record_into(encoder);
        (0..times).try_for_each(|_| operands.record(&mut recorder, op))
    })
}

fn probe_lane(probe: &Probe) -> Lane<'_> {
    Lane::new(|encoder, times| {
        probe.record(encoder, times);
        Ok(())
    })
}

fn whole(lane: &Lane<'_>) -> Vec<u64> {
    lane.samples().into_iter().map(|ns| ns as u64).collect()
}
