//! Eight threads that do all kinds of operations on one device at once, beside one that makes mistakes
//! and one that polls: the bits are those of the same operations one after the other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use serde::Serialize;
use wgnorm::{Device, wgpu};

use super::injector::Injector;
use super::mix::{Mix, Shared};
use crate::effort::Effort;
use crate::report::Report;

const THREADS: u64 = 8;
/// No operation takes as long, whoever else is on the machine.
const STALLED: Duration = Duration::from_secs(120);

/// The section's key in the file.
#[derive(Serialize)]
struct Threads {
    ops: u64,
    different_bits: u64,
}

/// The bits that an operation left, or why it failed.
type Bits = Result<u64, String>;

/// What one thread does.
#[derive(Clone, Copy)]
struct Work {
    thread: u64,
    operations: u64,
    recipes: u64,
}

impl Work {
    /// As many different cases as there is time to compile kernels for.
    fn new(thread: u64, effort: &Effort) -> Self {
        Self {
            thread,
            operations: effort.thread_ops,
            recipes: (effort.thread_ops / 4).clamp(4, 70),
        }
    }

    /// Does all operations; one that fails or panics is told of, and the others follow.
    fn run(self, device: &Device, shared: &Shared, mut tell: impl FnMut(u64, Bits)) {
        let mix = Mix::new(device, shared, self.thread, self.recipes);
        let mut mix = match mix {
            Ok(mix) => mix,
            Err(error) => return tell(0, Err(error.to_string())),
        };
        for index in 0..self.operations {
            let bits = catch_unwind(AssertUnwindSafe(|| mix.operation(index)));
            let bits = match bits {
                Ok(bits) => bits.map_err(|error| error.to_string()),
                Err(_) => Err("it panicked".to_owned()),
            };
            tell(index, bits);
        }
    }
}

/// What runs beside the eight threads until they are done.
struct Beside {
    done: Arc<AtomicBool>,
    injector: thread::JoinHandle<Injector>,
    poller: thread::JoinHandle<u64>,
}

impl Beside {
    fn start(device: &Device) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let mut injector = Injector::new(device);
        let (stop, gpu) = (Arc::clone(&done), device.clone());
        Self {
            injector: thread::spawn({
                let stop = Arc::clone(&done);
                move || {
                    while !stop.load(Ordering::Relaxed) {
                        injector.round();
                        thread::sleep(Duration::from_millis(1));
                    }
                    injector
                }
            }),
            poller: thread::spawn(move || poll(&gpu, &stop)),
            done,
        }
    }

    /// How often there was a mistake and a poll; what went wrong becomes violations.
    fn stop(self, report: &mut Report) -> (u64, u64) {
        self.done.store(true, Ordering::Relaxed);
        let polls = self.poller.join().unwrap_or_default();
        let Ok(injector) = self.injector.join() else {
            report.violation("threads: the one that makes mistakes panicked");
            return (0, polls);
        };
        let mistakes = injector.mistakes;
        for problem in injector.finish() {
            report.violation(format!("threads: {problem}"));
        }
        (mistakes, polls)
    }
}

/// Polls in both ways, and gives back now and then what the pools keep.
fn poll(device: &Device, stop: &AtomicBool) -> u64 {
    let mut polls = 0;
    while !stop.load(Ordering::Relaxed) {
        polls += 1;
        let kind = if polls % 16 == 0 {
            wgpu::PollType::Wait {
                submission_index: None,
                timeout: Some(Duration::from_millis(5)),
            }
        } else {
            wgpu::PollType::Poll
        };
        // A wait that ends too early is none of the other threads' business.
        drop(device.wgpu_device().poll(kind));
        if polls % 64 == 0 {
            device.release_pooled_memory();
        }
        thread::sleep(Duration::from_micros(300));
    }
    polls
}

pub(crate) fn run(device: &Device, effort: &Effort, report: &mut Report) {
    if device.wgpu_device().adapter_info().backend == wgpu::Backend::Gl {
        println!(
            "threads: left out, since wgpu's GL backend panics where one thread waits a second for another"
        );
        return;
    }
    let work = (0..THREADS).map(|thread| Work::new(thread, effort));
    let work: Vec<Work> = work.collect();
    let serial = in_turn(device, &work, report);
    let Some(parallel) = at_once(&work, report) else {
        return;
    };
    let different = serial.iter().zip(&parallel).enumerate();
    let different = different.filter(|(_, (serial, parallel))| serial != parallel);
    let different: Vec<usize> = different.map(|(i, _)| i).collect();
    for i in different.iter().take(10) {
        let operations = effort.thread_ops as usize;
        report.violation(format!(
            "threads: operation {} of thread {} has other bits among others than in turn",
            i % operations,
            i / operations
        ));
    }
    let threads = Threads {
        ops: parallel.iter().flatten().count() as u64,
        different_bits: different.len() as u64,
    };
    report.set("threads", &threads);
}

/// The bits of all operations, each thread's after those of the one before, on the device of all
/// sections.
fn in_turn(device: &Device, work: &[Work], report: &mut Report) -> Vec<Option<u64>> {
    let mut all = Vec::new();
    let shared = Shared::new(device).unwrap();
    for work in work {
        let mut bits = vec![None; work.operations as usize];
        work.run(device, &shared, |index, got| match got {
            Ok(got) => bits[index as usize] = Some(got),
            Err(error) => report.violation(format!(
                "threads: operation {index} of thread {} in turn: {error}",
                work.thread
            )),
        });
        all.extend(bits);
    }
    all
}

/// The same by as many threads on a device of their own, on which nothing is compiled yet; `None` where
/// they do not come to an end.
fn at_once(work: &[Work], report: &mut Report) -> Option<Vec<Option<u64>>> {
    let device = Device::new().unwrap();
    let shared = Arc::new(Shared::new(&device).unwrap());
    let beside = Beside::start(&device);
    let (tell, told) = channel();
    let mut bits = Vec::new();
    for &work in work {
        bits.push(vec![None; work.operations as usize]);
        spawn(work, device.clone(), Arc::clone(&shared), tell.clone());
    }
    drop(tell);
    loop {
        match told.recv_timeout(STALLED) {
            Ok((thread, index, Ok(got))) => bits[thread as usize][index as usize] = Some(got),
            Ok((thread, index, Err(error))) => report.violation(format!(
                "threads: operation {index} of thread {thread} among others: {error}"
            )),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                report.violation("threads: no operation ended for two minutes");
                return None;
            }
        }
    }
    let (mistakes, polls) = beside.stop(report);
    println!("threads: {mistakes} mistakes and {polls} polls beside them");
    Some(bits.concat())
}

fn spawn(work: Work, device: Device, shared: Arc<Shared>, tell: Sender<(u64, u64, Bits)>) {
    thread::spawn(move || {
        work.run(&device, &shared, |index, bits| {
            // The receiver goes where it has waited for too long.
            drop(tell.send((work.thread, index, bits)));
        });
    });
}
