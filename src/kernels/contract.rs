//! Holds every composed shader against its host half, through naga and without a GPU.
//!
//! Each check returns what is wrong in words, so that the tests can show on spoiled sources that
//! it does find something.

mod backends;
mod headers;
mod reflection;

use super::io::Place;
use super::{Io, Kernel, Output, Word, backward_dx, backward_sums, moments, normalize};

/// The workgroup sizes that the planner asks for, GPU first.
const WORKGROUPS: [u32; 2] = [256, 8];

fn kernels() -> Vec<&'static Kernel> {
    [
        &moments::KERNELS,
        &normalize::KERNELS,
        &backward_sums::KERNELS,
        &backward_dx::KERNELS,
    ]
    .into_iter()
    .flat_map(|kernels| [&kernels.rows, &kernels.columns])
    .collect()
}

/// Every choice of snippets that the host half can ask for.
fn variants(kernel: &Kernel) -> Vec<Io> {
    let mut places = vec![Place::Own, Place::Shared];
    if kernel.output != Output::None {
        places.push(Place::Output);
    }
    let dys = if kernel.reads_dy {
        places.clone()
    } else {
        vec![Place::Absent]
    };
    if kernel.output == Output::Dx {
        // Through running statistics dx does not depend on x.
        places.push(Place::Absent);
    }
    let mut variants = Vec::new();
    for word in [Word::F32, Word::F32x4] {
        for &x in &places {
            variants.extend(dys.iter().map(|&dy| Io { word, x, dy }));
        }
    }
    variants
}

/// Runs a check over every variant of every kernel and fails with all that it found.
fn for_every_variant(check: impl Fn(&Kernel, Io) -> Vec<String>) {
    let mut found = Vec::new();
    for kernel in kernels() {
        for io in variants(kernel) {
            for defect in check(kernel, io) {
                found.push(format!("{} with {io:?}: {defect}", kernel.name));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Asserts that a check says this about a spoiled source.
fn assert_found(defects: &[String], expected: &str) {
    assert!(
        defects.iter().any(|defect| defect.contains(expected)),
        "expected to hear of {expected:?}, got {defects:#?}"
    );
}

/// `source` with one piece replaced, which must be there.
fn spoiled(source: &str, from: &str, to: &str) -> String {
    assert!(source.contains(from), "nothing to spoil: no {from:?}");
    source.replace(from, to)
}

#[test]
fn every_variant_has_a_number_of_its_own() {
    for kernel in kernels() {
        let mut numbers: Vec<_> = variants(kernel).iter().map(|io| io.variant()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), variants(kernel).len(), "{}", kernel.name);
    }
}
