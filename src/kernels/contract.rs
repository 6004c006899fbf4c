//! Holds every composed shader against its host half, through naga and without a GPU.
//!
//! Each check returns what is wrong in words, so that the tests can show on spoiled sources that
//! it does find something.

mod backends;
mod flags;
mod headers;
mod loops;
mod matrix;
mod reflection;
mod targets;

use std::collections::HashSet;

use super::catalogue::{Subject, subjects};
use super::channels::ChannelsParams;
use super::io::{Linked, Place, Tail};
use super::matrix::MatrixParams;
use super::params::FoldParams;
use super::{ColumnsParams, Flags, Form, Io, Kernel, Reduce, RowsParams, Word};
use crate::gpu::Program;

/// What only the contract asks of a kernel.
impl Subject {
    fn name(self) -> &'static str {
        match self {
            Self::Walk(kernel) => kernel.name,
            Self::Fold(fold) => fold.name,
            Self::Matrix(kernel) => kernel.name,
        }
    }

    fn body(self) -> &'static str {
        match self {
            Self::Walk(kernel) => kernel.body,
            Self::Fold(fold) => fold.body,
            Self::Matrix(kernel) => kernel.body,
        }
    }

    fn flags(self) -> Flags {
        match self {
            Self::Matrix(_) => Flags::default(),
            _ => Flags(self.switches()),
        }
    }

    /// The program with all switches on, for a workgroup that goes with the choice.
    fn linked(self, io: Io) -> Program {
        self.program(io, workgroup(io), self.switches())
    }

    /// The fields of its uniform block, and the size of that.
    fn parameters(self) -> (&'static [(&'static str, &'static str, usize)], usize) {
        match self {
            Self::Fold(fold) if fold.name.starts_with("fold") => {
                (FoldParams::FIELDS, size_of::<FoldParams>())
            }
            Self::Fold(_) => (ChannelsParams::FIELDS, size_of::<ChannelsParams>()),
            Self::Matrix(_) => (MatrixParams::FIELDS, size_of::<MatrixParams>()),
            Self::Walk(kernel) if kernel.name.ends_with("_rows") => {
                (RowsParams::FIELDS, size_of::<RowsParams>())
            }
            Self::Walk(_) => (ColumnsParams::FIELDS, size_of::<ColumnsParams>()),
        }
    }

    /// Choices of snippets that hold each snippet, and each with those that it has to do with.
    fn variants(self) -> Vec<Io> {
        let mut variants: Vec<Io> = self.choices().into_iter().map(|(io, _)| io).collect();
        if let Self::Walk(_) = self {
            let first = variants[0].form;
            variants.retain(|io| is_sampled(io, first));
        }
        let mut seen = HashSet::new();
        variants.retain(|&io| seen.insert(io));
        variants
    }
}

/// All forms, words and ways to add up with tensors of their own, all places of the tensors with the first
/// form, and what follows a norm with every form and word and wherever a residual can lie.
fn is_sampled(io: &Io, first: Form) -> bool {
    let own = io.x == Place::Own && matches!(io.dy, Place::Own | Place::Absent);
    let plain = io.form == first && io.reduce == Reduce::Shared;
    let reads_no_x = io.x == Place::Absent && io.dy == Place::Own;
    match io.tail {
        Tail::Plain => own || plain,
        Tail::Recomputed | Tail::Residual(Place::Own) if own => io.reduce == Reduce::Shared,
        Tail::Residual(place) => {
            let one = own || reads_no_x && place == Place::Own;
            one && plain && io.word == Word::F32
        }
        Tail::Recomputed => false,
    }
}

/// The workgroups of a GPU, or those of a software driver: one subgroup, several words for each lane, or
/// words of 64-bit integers.
fn workgroup(io: Io) -> u32 {
    match (io.reduce, io.form) {
        (Reduce::OneSubgroup, _) | (_, Form::Span(2..)) => 8,
        _ if io.word.is_int64() => 8,
        _ => 256,
    }
}

fn kernels() -> impl Iterator<Item = &'static Kernel> {
    subjects().into_iter().filter_map(|subject| match subject {
        Subject::Walk(kernel) => Some(kernel),
        _ => None,
    })
}

/// Runs a check over every variant of every kernel and fails with all that it found.
fn for_every_variant(check: impl Fn(Subject, Io) -> Vec<String>) {
    let mut found = Vec::new();
    for subject in subjects() {
        for io in subject.variants() {
            for defect in check(subject, io) {
                found.push(format!("{} with {io:?}: {defect}", subject.name()));
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
fn every_choice_has_a_number_of_its_own() {
    for subject in subjects() {
        let choices: HashSet<_> = subject.choices().into_iter().map(|(io, _)| io).collect();
        let numbers: HashSet<_> = choices.iter().map(|io| io.variant()).collect();
        assert_eq!(numbers.len(), choices.len(), "{}", subject.name());
    }
}

#[test]
fn only_rows_have_gains_of_their_elements() {
    for kernel in kernels() {
        let links = |io: &Io| {
            let text = Subject::Walk(kernel).linked(*io).sources.concat();
            text.contains("const ELEMENT_GAINS: bool = true;")
        };
        let variants = Subject::Walk(kernel).variants();
        let linked: Vec<_> = variants.iter().filter(|io| links(io)).collect();
        let rows = kernel.name.ends_with("_rows");
        let expected = rows && kernel.gains != Linked::Nothing;
        assert_eq!(!linked.is_empty(), expected, "{}", kernel.name);
        assert!(linked.iter().all(|io| io.element_gains), "{}", kernel.name);
        for io in &variants {
            let has_word = linked.iter().any(|linked| linked.word == io.word);
            assert_eq!(has_word, expected, "{} of {:?}", kernel.name, io.word);
        }
    }
}
