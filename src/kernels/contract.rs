//! Holds every composed shader against its host half, through naga and without a GPU.
//!
//! Each check returns what is wrong in words, so that the tests can show on spoiled sources that
//! it does find something.

mod backends;
mod flags;
mod headers;
mod matrix;
mod reflection;

use std::collections::HashSet;

use super::channels::ChannelsParams;
use super::fold::Fold;
use super::io::{Linked, Place, Tail};
use super::matrix::{MatrixKernel, MatrixParams};
use super::params::FoldParams;
use super::{
    ColumnsParams, Flags, Form, Half, Io, Kernel, Output, Reduce, RowsParams, Word, backward_dx,
    backward_resident, backward_sums, finish_moments, finish_sums, fold_statistics, fold_sums,
    forward_resident, gain_sums, mask_bits, merge_moments, merge_sums, moments, normalize,
};
use crate::gpu::Program;
use crate::plan::SPANS;

/// A kernel of either kind, which most checks see alike.
#[derive(Clone, Copy)]
enum Subject {
    /// It walks over activations.
    Walk(&'static Kernel),
    /// It folds or finishes what channels have. Of a choice of snippets it sees how lanes add up.
    Fold(&'static Fold),
    /// It multiplies a weight.
    Matrix(&'static MatrixKernel),
}

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
            Self::Walk(kernel) => kernel.flags,
            Self::Fold(fold) => fold.flags,
            Self::Matrix(_) => Flags::default(),
        }
    }

    fn program(self, io: Io) -> Program {
        match self {
            Self::Walk(kernel) => kernel.program(io, workgroup(io), kernel.flags),
            Self::Fold(fold) => fold.program(io.reduce, workgroup(io), fold.flags),
            Self::Matrix(kernel) => kernel.program(io, workgroup(io), kernel.asks_fixed),
        }
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

    fn variants(self) -> Vec<Io> {
        match self {
            Self::Walk(kernel) => variants(kernel),
            Self::Matrix(kernel) => matrix::variants(kernel),
            Self::Fold(_) => REDUCES.map(|reduce| Io { reduce, ..NEUTRAL }).to_vec(),
        }
    }
}

/// The words of weights, and those of activations.
const FLOATS: [Word; 3] = [Word::F32, Word::F32x4, Word::U64x2];
const WORDS: [Word; 11] = [
    FLOATS[0],
    FLOATS[1],
    FLOATS[2],
    Word::U32(Half::F16),
    Word::U32(Half::Bf16),
    Word::U32x2(Half::F16),
    Word::U32x2(Half::Bf16),
    Word::U64(Half::F16),
    Word::U64(Half::Bf16),
    Word::Single(Half::F16),
    Word::Single(Half::Bf16),
];
const REDUCES: [Reduce; 3] = [Reduce::Shared, Reduce::Subgroups, Reduce::OneSubgroup];

/// The choice of snippets that asks for nothing.
const NEUTRAL: Io = Io {
    word: Word::F32,
    form: Form::Whole,
    keeps_ends: false,
    reduce: Reduce::Shared,
    element_gains: false,
    x: Place::Absent,
    dy: Place::Absent,
    tail: Tail::Plain,
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
    .chain([&gain_sums::KERNEL])
    .collect()
}

fn subjects() -> Vec<Subject> {
    let folds = [
        &fold_statistics::KERNEL,
        &fold_sums::KERNEL,
        &merge_moments::KERNEL,
        &finish_moments::KERNEL,
        &merge_sums::KERNEL,
        &finish_sums::KERNEL,
        &mask_bits::KERNEL,
    ];
    let walks = kernels().into_iter().map(Subject::Walk);
    let matrices = matrix::kernels().map(Subject::Matrix);
    walks
        .chain(folds.map(Subject::Fold))
        .chain(matrices)
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
        (false, false) => SPANS.map(Form::Span).to_vec(),
        (true, true) => powers().map(Form::HeldRows).collect(),
        (true, false) => powers().map(Form::HeldColumns).collect(),
    }
}

/// Every choice of snippets that the host half can ask for: all forms and words with tensors of their
/// own, and all places of the tensors with the first form; both with each kind of gains.
fn variants(kernel: &Kernel) -> Vec<Io> {
    let forms = forms(kernel);
    let own = Io {
        form: forms[0],
        x: Place::Own,
        dy: if kernel.reads_dy {
            Place::Own
        } else {
            Place::Absent
        },
        ..NEUTRAL
    };
    let mut variants = Vec::new();
    for (x, dy) in places(kernel) {
        variants.extend(WORDS.map(|word| Io { word, x, dy, ..own }));
    }
    for &form in &forms {
        for word in WORDS {
            variants.extend(REDUCES.map(|reduce| Io {
                word,
                form,
                reduce,
                ..own
            }));
        }
    }
    variants.extend(tailed(kernel, &forms, own));
    variants.retain(|io| is_planned(kernel, io));
    let ends = variants.iter().copied().filter(may_keep_ends);
    let ends = ends.map(|io| Io {
        keeps_ends: true,
        ..io
    });
    variants.extend(ends.collect::<Vec<_>>());
    if kernel.gains != Linked::Nothing {
        let rows = variants.iter().copied().filter(may_have_element_gains);
        let elements = rows.map(|io| Io {
            element_gains: true,
            ..io
        });
        variants.extend(elements.collect::<Vec<_>>());
    }
    variants.dedup();
    variants
}

/// What a tail links, with every form and word, and wherever a residual can lie.
fn tailed(kernel: &Kernel, forms: &[Form], own: Io) -> Vec<Io> {
    let tails = match (kernel.output, kernel.reads_dy) {
        (Output::Y, _) => vec![Tail::Residual(Place::Own)],
        (Output::Dx, _) => vec![Tail::Recomputed, Tail::Residual(Place::Own)],
        (Output::None, true) => vec![Tail::Recomputed],
        (Output::None, false) => vec![],
    };
    let mut variants = Vec::new();
    for tail in tails {
        for &form in forms {
            variants.extend(WORDS.map(|word| Io {
                word,
                form,
                tail,
                ..own
            }));
        }
    }
    if kernel.name.starts_with("backward_dx") {
        variants.push(Io {
            x: Place::Absent,
            tail: Tail::Residual(Place::Own),
            ..own
        });
    }
    if kernel.output == Output::Y {
        let places = [Place::Shared, Place::Output, Place::Absent];
        variants.extend(places.map(|place| Io {
            tail: Tail::Residual(place),
            ..own
        }));
    }
    variants
}

/// Whether the planner has such words for the kernel. Half a u32 cannot be written, so that only sums
/// across rows take such words.
fn is_planned(kernel: &Kernel, io: &Io) -> bool {
    let across = matches!(kernel.name, "gain_sums_columns" | "backward_dx_columns");
    match io.word {
        // One element cannot straddle two slots.
        Word::F32 => io.form != Form::Ragged,
        Word::Single(_) => across && io.x != Place::Output && io.dy != Place::Output,
        _ => true,
    }
}

/// Whether batch entries may begin within a word.
fn may_keep_ends(io: &Io) -> bool {
    io.form == Form::Ragged && matches!(io.word, Word::U32(_))
}

/// Whether the planner lets elements of a slot have gains of their own there.
fn may_have_element_gains(io: &Io) -> bool {
    match io.form {
        Form::Whole | Form::HeldRows(_) => true,
        Form::Ragged => matches!(io.word, Word::U32(_)) && !io.keeps_ends,
        _ => false,
    }
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
fn every_variant_has_a_number_of_its_own() {
    for kernel in kernels() {
        let variants: HashSet<_> = variants(kernel).into_iter().collect();
        let numbers: HashSet<_> = variants.iter().map(|io| io.variant()).collect();
        assert_eq!(numbers.len(), variants.len(), "{}", kernel.name);
    }
}

#[test]
fn only_rows_have_gains_of_their_elements() {
    for kernel in kernels() {
        let links = |io: &Io| {
            let program = kernel.program(*io, workgroup(*io), kernel.flags);
            let text = program.sources.concat();
            text.contains("const ELEMENT_GAINS: bool = true;")
        };
        let variants = variants(kernel);
        let linked: Vec<_> = variants.iter().filter(|io| links(io)).collect();
        let rows = kernel.name.ends_with("_rows");
        let expected = rows && kernel.gains != Linked::Nothing;
        assert_eq!(!linked.is_empty(), expected, "{}", kernel.name);
        assert!(linked.iter().all(|io| io.element_gains), "{}", kernel.name);
        for word in WORDS {
            let has_word = linked.iter().any(|io| io.word == word);
            let is_planned = variants.iter().any(|io| io.word == word);
            assert_eq!(
                has_word,
                expected && is_planned,
                "{} of {word:?}",
                kernel.name
            );
        }
    }
}
