//! What goes wrong around an operation, each kind many times in a child process: a typed error, no
//! panic, no operation of over two seconds, nothing half-written, and right results afterwards.
//!
//! A child runs a few repetitions of one kind and says what it is doing; the parent watches the
//! clock. So a crash costs one repetition, and no hang stops the count.

mod arguments;
mod buffers;
mod child;
#[cfg(feature = "safetensors")]
mod files;
mod handlers;
mod limits;
mod lost;
mod memory;
mod right;
mod shapes;
mod threads;
mod watch;
mod zero;

use wgnorm::Device;

use crate::effort::Effort;
use crate::report::Report;

/// A fault by its name, to be run with the number of the repetition. It panics where what it sees is
/// wrong, which counts as that as long as it happens in a file of the tests.
type Fault = fn(u64);

/// Every kind of fault.
const KINDS: &[(&str, Fault)] = &[
    ("lost before an operation", lost::before),
    ("lost between forward and backward", lost::between),
    ("lost while recording", lost::recording),
    ("lost during operations", lost::during),
    ("lost with a readback pending", lost::reading),
    ("out of memory at each allocation", memory::of_a_program),
    (
        "out of memory at each allocation of a step",
        memory::of_a_step,
    ),
    ("zero sizes", zero::sizes),
    ("buffers too small", buffers::too_small),
    ("buffers misaligned", buffers::misaligned),
    ("buffers of the wrong usage", buffers::wrong_usage),
    ("buffers of another device", buffers::of_another_device),
    ("buffers destroyed", buffers::destroyed),
    ("buffers mapped", buffers::mapped),
    ("buffers overlapping", buffers::overlapping),
    ("limits too small", limits::too_small),
    ("bindings too small", limits::bindings),
    ("features missing", limits::features),
    ("the caller's handlers", handlers::stay),
    ("a thread panics while it records", threads::panic),
    #[cfg(feature = "safetensors")]
    ("state files truncated", files::truncated),
    #[cfg(feature = "safetensors")]
    ("state files mutated", files::mutated),
    ("shapes that overflow", shapes::overflow),
];

pub(crate) fn run(_: &Device, effort: &Effort, report: &mut Report) {
    let mut all = Vec::new();
    for (kind, _) in KINDS {
        let counts = watch::count(kind, effort.faults);
        println!("{counts}");
        for note in &counts.notes {
            report.violation(format!("{kind}: {note}"));
        }
        all.push(counts);
    }
    report.set("faults", &all);
}

/// The child process; without an order in its environment there is nothing to do.
#[test]
#[ignore = "the section of the faults starts it"]
fn child() {
    child::obey();
}
