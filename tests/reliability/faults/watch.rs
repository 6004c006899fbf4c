//! The parent's half: starts children, watches their clock and counts what became of each run.

use std::collections::VecDeque;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::child::{ORDER, Word};

/// No operation may take longer.
const QUICK: Duration = Duration::from_secs(2);
/// Making devices and compiling kernels may, on a slow machine.
const SLOW: Duration = Duration::from_secs(100);
/// How many repetitions one child runs.
const PER_CHILD: u64 = 10;
/// How many of a child's last lines are told.
const LAST_LINES: usize = 4;

/// What became of the repetitions of one kind.
#[derive(Debug, Default, Serialize)]
pub(super) struct Counts {
    kind: &'static str,
    runs: u64,
    panics: u64,
    hangs: u64,
    wrong: u64,
    /// A line for each that was not as it should be.
    #[serde(skip)]
    pub(super) notes: Vec<String>,
    /// The operation that took longest.
    #[serde(skip)]
    slowest: (Duration, String),
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (time, name) = &self.slowest;
        write!(
            f,
            "  {}: {} runs, {} panics, {} hangs, {} wrong; slowest {:.0} ms in {name}",
            self.kind,
            self.runs,
            self.panics,
            self.hangs,
            self.wrong,
            1e3 * time.as_secs_f64()
        )
    }
}

/// Runs a kind so many times in as few children as survive it.
pub(super) fn count(kind: &'static str, runs: u64) -> Counts {
    let mut counts = Counts {
        kind,
        ..Counts::default()
    };
    while counts.runs < runs {
        let end = runs.min(counts.runs + PER_CHILD);
        follow(&mut counts, end);
    }
    counts
}

fn start(kind: &str, first: u64, end: u64) -> (Child, Receiver<String>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "faults::child", "--ignored", "--nocapture"])
        .env(ORDER, format!("{kind}:{first}:{end}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    (child, receiver)
}

/// Starts a child and listens until it is gone; at least one repetition is counted.
fn follow(counts: &mut Counts, end: u64) {
    let (mut child, lines) = start(counts.kind, counts.runs, end);
    let mut last = VecDeque::new();
    let mut inside: Option<(Instant, String)> = None;
    let mut since = Instant::now();
    let mut told = false;
    loop {
        let deadline = inside
            .as_ref()
            .map_or(since + SLOW, |(from, _)| *from + QUICK);
        let line = lines.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        match line {
            Ok(line) => match Word::parse(&line) {
                Some(Word::In(name)) => inside = Some((Instant::now(), name)),
                Some(Word::Out) => {
                    if let Some((from, name)) = inside.take() {
                        let took = (from.elapsed(), name);
                        if took.0 > counts.slowest.0 {
                            counts.slowest = took;
                        }
                    }
                    since = Instant::now();
                }
                Some(Word::Fine) => counts.runs += 1,
                Some(Word::Wrong(what)) => {
                    told = true;
                    counts.wrong += 1;
                    counts.over(&format!("wrong: {what}"));
                }
                Some(Word::Panic(what)) => {
                    told = true;
                    counts.panics += 1;
                    counts.over(&format!("panicked: {what}"));
                }
                None => {
                    last.push_back(line);
                    if last.len() > LAST_LINES {
                        last.pop_front();
                    }
                }
            },
            Err(RecvTimeoutError::Timeout) => {
                child.kill().unwrap();
                told = true;
                let during = inside.map_or("set-up".to_owned(), |(_, name)| name);
                counts.hangs += 1;
                counts.over(&format!("hung in {during}"));
                break;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = child.wait().unwrap();
    if !told && counts.runs < end {
        counts.panics += 1;
        let last: Vec<String> = last.into();
        counts.over(&format!("died, {status}: {}", last.join(" | ")));
    }
}

impl Counts {
    /// Counts a run that was not as it should be.
    fn over(&mut self, note: &str) {
        self.notes.push(format!("run {} {note}", self.runs));
        self.runs += 1;
    }
}
