//! Holds every composed shader against its host half, through naga and without a GPU.
//!
//! Each check returns what is wrong in words, so that the tests can show on spoiled sources that
//! it does find something.

mod backends;
mod headers;
mod matrix;
mod reflection;

use std::collections::HashSet;

use super::io::Place;
use super::{
    Flags, Form, Io, Kernel, Output, Reduce, Word, backward_dx, backward_resident, backward_sums,
    forward_resident, moments, normalize,
};

/// The workgroups of a GPU, or those of a software driver: one subgroup, or several words for each lane.
fn workgroup(io: Io) -> u32 {
    match (io.reduce, io.form) {
        (Reduce::OneSubgroup, _) | (_, Form::Span(2..)) => 8,
        _ => 256,
    }
}

fn kernels() -> Vec<&'static Kernel> {
    [
        &moments::KERNELS,
        &normalize::KERNELS,
        &backward_sums::KERNELS,
        &backward_dx::KERNELS,
        &forward_resident::KERNELS,
        &backward_resident::KERNELS,
    ]
    .into_iter()
    .flat_map(|kernels| [&kernels.rows, &kernels.columns])
    .collect()
}

/// How the planner lets words lie for a kernel.
fn forms(kernel: &Kernel) -> Vec<Form> {
    let powers = || (0..=5).map(|power| 1 << power);
    match (
        kernel.name.contains("resident"),
        kernel.name.ends_with("_rows"),
    ) {
        (false, true) => vec![Form::Whole, Form::Ragged],
        (false, false) => (1..=8).map(Form::Span).collect(),
        (true, true) => powers().map(Form::HeldRows).collect(),
        (true, false) => powers().map(Form::HeldColumns).collect(),
    }
}

/// Every choice of snippets that the host half can ask for: all forms and words with tensors of their
/// own, and all places of the tensors with the first form.
fn variants(kernel: &Kernel) -> Vec<Io> {
    let forms = forms(kernel);
    let own = Io {
        word: Word::F32,
        form: forms[0],
        reduce: Reduce::Shared,
        x: Place::Own,
        dy: if kernel.reads_dy {
            Place::Own
        } else {
            Place::Absent
        },
    };
    let mut variants = Vec::new();
    for (x, dy) in places(kernel) {
        let words = [Word::F32, Word::F32x4, Word::U64x2];
        variants.extend(words.map(|word| Io { word, x, dy, ..own }));
    }
    for &form in &forms {
        for word in [Word::F32, Word::F32x4, Word::U64x2] {
            let reduces = [Reduce::Shared, Reduce::Subgroups, Reduce::OneSubgroup];
            variants.extend(reduces.map(|reduce| Io {
                word,
                form,
                reduce,
                ..own
            }));
        }
    }
    // A word of one element cannot straddle two slots.
    variants.retain(|io| io.form != Form::Ragged || io.word != Word::F32);
    variants.dedup();
    variants
}

/// Where x and dy can lie.
fn places(kernel: &Kernel) -> Vec<(Place, Place)> {
    let mut places = vec![Place::Own, Place::Shared];
    if kernel.output != Output::None {
        places.push(Place::Output);
    }
    let dys = if kernel.reads_dy {
        places.clone()
    } else {
        vec![Place::Absent]
    };
    if kernel.name.starts_with("backward_dx") {
        // Through running statistics dx does not depend on x.
        places.push(Place::Absent);
    }
    let pairs = places
        .iter()
        .flat_map(|&x| dys.iter().map(move |&dy| (x, dy)));
    pairs.collect()
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
        let variants: HashSet<_> = variants(kernel).into_iter().collect();
        let numbers: HashSet<_> = variants.iter().map(|io| io.variant()).collect();
        assert_eq!(numbers.len(), variants.len(), "{}", kernel.name);
    }
}

#[test]
fn kernels_name_the_flags_that_they_look_at() {
    for kernel in kernels() {
        for (name, flag) in Flags::NAMED {
            let looks = kernel.body.contains(&format!("has({name})"));
            assert!(!looks || kernel.flags.has(flag), "{}: {name}", kernel.name);
            // The weight of a batch is chosen in a snippet.
            let named = kernel.flags.has(flag) && flag != Flags::CUMULATIVE;
            assert!(!named || looks, "{} does not look at {name}", kernel.name);
        }
    }
}
