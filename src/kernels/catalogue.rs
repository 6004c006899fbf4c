//! Every kernel with every choice of snippets that plans and tensors can make: the very set that is
//! ever compiled. What is compiled is held against it where assertions are on, see [`Kernel::links`].

use super::fold::Fold;
use super::io::{Io, Output, Place, Tail};
use super::matrix::{MatrixKernel, binding};
use super::{
    Flags, Kernel, Kernels, Places, backward_dx, backward_resident, backward_sums, finish_moments,
    finish_sums, fold_statistics, fold_sums, forward_resident, gain_sums, mask_bits, matrix_divide,
    matrix_dot, matrix_merge, matrix_product, matrix_rank_one, merge_moments, merge_sums, moments,
    normalize,
};
use crate::gpu::{DeviceClass, Program};
use crate::plan::{Choice, Form, Pass, Reduce, Tuning, Walk, Word, choices, matrix};

/// A kernel of either kind.
#[derive(Clone, Copy)]
pub(super) enum Subject {
    /// It walks over activations.
    Walk(&'static Kernel),
    /// It folds or finishes what channels have. Of a choice of snippets it sees how lanes add up.
    Fold(&'static Fold),
    /// It multiplies a weight.
    Matrix(&'static MatrixKernel),
}

/// The choice of snippets that asks for nothing.
pub(super) const NEUTRAL: Io = Io {
    word: Word::F32,
    form: Form::Whole,
    keeps_ends: false,
    reduce: Reduce::Shared,
    in_turns: false,
    element_gains: false,
    x: Place::Absent,
    dy: Place::Absent,
    tail: Tail::Plain,
};

impl Subject {
    /// The bits of its override constant for switches that it looks at.
    pub(super) fn switches(self) -> u32 {
        match self {
            Self::Walk(kernel) => kernel.flags.0,
            Self::Fold(fold) => fold.flags.0,
            Self::Matrix(kernel) => u32::from(kernel.asks_fixed),
        }
    }

    /// Links everything, with some of these switches on.
    pub(super) fn program(self, io: Io, workgroup: u32, switches: u32) -> Program {
        match self {
            Self::Walk(kernel) => kernel.program(io, workgroup, Flags(switches)),
            Self::Fold(fold) => fold.program(io.reduce, workgroup, Flags(switches)),
            Self::Matrix(kernel) => kernel.program(io, workgroup, switches != 0),
        }
    }

    /// Every choice of snippets, with the workgroup that goes with it.
    pub(super) fn choices(self) -> Vec<(Io, u32)> {
        match self {
            Self::Walk(kernel) => kernel.choices(),
            Self::Fold(_) => folds().collect(),
            Self::Matrix(kernel) => kernel.choices(),
        }
    }
}

/// Every kernel, those that are not in two halves in alphabetical order.
pub(super) fn subjects() -> Vec<Subject> {
    let halves = [
        &moments::KERNELS,
        &normalize::KERNELS,
        &backward_sums::KERNELS,
        &backward_dx::KERNELS,
        &forward_resident::KERNELS,
        &backward_resident::KERNELS,
    ];
    let walks = halves.into_iter().flat_map(Kernels::halves);
    let folds = [
        &fold_statistics::KERNEL,
        &fold_sums::KERNEL,
        &merge_moments::KERNEL,
        &finish_moments::KERNEL,
        &merge_sums::KERNEL,
        &finish_sums::KERNEL,
        &mask_bits::KERNEL,
    ];
    let matrices = [
        &matrix_product::ROWS,
        &matrix_product::COLUMNS,
        &matrix_merge::KERNEL,
        &matrix_divide::KERNEL,
        &matrix_dot::KERNEL,
        &matrix_rank_one::ROWS,
        &matrix_rank_one::COLUMNS,
    ];
    walks
        .chain([&gain_sums::KERNEL])
        .map(Subject::Walk)
        .chain(folds.map(Subject::Fold))
        .chain(matrices.map(Subject::Matrix))
        .collect()
}

impl Kernels {
    fn halves(&'static self) -> [&'static Kernel; 2] {
        [&self.rows, &self.columns]
    }
}

impl Kernel {
    /// Whether such a choice is in the catalogue.
    pub(super) fn links(&self, io: Io, workgroup: u32) -> bool {
        self.choices().contains(&(io, workgroup))
    }

    fn choices(&self) -> Vec<(Io, u32)> {
        let pass = if self.reads_dy {
            Pass::Backward
        } else {
            Pass::Forward
        };
        let mut choices = Vec::new();
        for &walk in self.walks {
            let places = self.places(walk);
            for choice in Choice::all(walk, pass) {
                let linked = |Places { x, dy, tail }| Io {
                    word: choice.word,
                    form: choice.form,
                    keeps_ends: choice.keeps_ends,
                    reduce: choice.reduce,
                    in_turns: choice.in_turns,
                    element_gains: choice.element_gains,
                    x,
                    dy,
                    tail,
                };
                let io = places.iter().copied().map(linked);
                choices.extend(io.map(|io| (io, choice.workgroup)));
            }
        }
        choices
    }

    /// Where activations lie. x and dy are never in one place, and what is held is read even where dx
    /// does not depend on it.
    fn places(&self, walk: Walk) -> Vec<Places> {
        let held = matches!(walk, Walk::HeldRows | Walk::HeldColumns);
        let across = walk == Walk::Across;
        let in_place = self.output != Output::None && !across;
        let mut xs = vec![Place::Own, Place::Shared];
        xs.extend(in_place.then_some(Place::Output));
        let dys = if self.reads_dy {
            xs.clone()
        } else {
            vec![Place::Absent]
        };
        let tails = match (self.output, self.reads_dy) {
            (Output::None, false) => vec![Tail::Plain],
            (Output::None, true) => vec![Tail::Plain, Tail::Recomputed],
            (Output::Dx, _) if across => vec![Tail::Plain],
            (Output::Dx, _) => vec![Tail::Plain, Tail::Recomputed, Tail::Residual(Place::Own)],
            (Output::Y, _) => {
                let places = [Place::Own, Place::Shared, Place::Output, Place::Absent];
                let residuals = places.map(Tail::Residual);
                [Tail::Plain].into_iter().chain(residuals).collect()
            }
        };
        if self.output == Output::Dx && !held {
            xs.push(Place::Absent);
        }
        let mut places = Vec::new();
        for &tail in &tails {
            for &x in &xs {
                places.extend(dys.iter().map(|&dy| Places { x, dy, tail }));
            }
        }
        places.retain(|places| !places.is_contradiction());
        places
    }
}

impl Places {
    fn is_contradiction(self) -> bool {
        let Self { x, dy, tail } = self;
        let twice = x == Place::Output && dy == Place::Output;
        // A residual in the place of x counts as none of its own.
        let residual = x == Place::Output && tail == Tail::Residual(Place::Output);
        let gates = x == Place::Absent && tail == Tail::Recomputed;
        twice || residual || gates
    }
}

impl Fold {
    /// Whether such a choice is in the catalogue.
    pub(super) fn links(reduce: Reduce, workgroup: u32) -> bool {
        folds().any(|(io, size)| io.reduce == reduce && size == workgroup)
    }
}

fn folds() -> impl Iterator<Item = (Io, u32)> {
    let sizes = [DeviceClass::Gpu, DeviceClass::Cpu].map(|class| Tuning::of(class).workgroup);
    sizes
        .into_iter()
        .flat_map(|size| choices::reduces(size).map(move |reduce| (Io { reduce, ..NEUTRAL }, size)))
}

impl MatrixKernel {
    /// Whether such a choice is in the catalogue.
    pub(super) fn links(&self, io: Io, workgroup: u32) -> bool {
        self.choices().contains(&(io, workgroup))
    }

    fn choices(&self) -> Vec<(Io, u32)> {
        let mut choices = Vec::new();
        for (class, wide) in matrix::WORDS {
            let spans = if self.spans { matrix::spans(class) } else { 1 };
            let workgroup = Tuning::of(class).workgroup;
            for form in (1..=spans).map(Form::Span) {
                for word in [Word::F32, wide] {
                    for reduce in choices::reduces(workgroup) {
                        for x in self.places(binding::X) {
                            let dys = self.places(binding::DY).into_iter();
                            choices.extend(dys.map(|dy| {
                                let io = Io {
                                    word,
                                    form,
                                    reduce,
                                    x,
                                    dy,
                                    ..NEUTRAL
                                };
                                (io, workgroup)
                            }));
                        }
                    }
                }
            }
        }
        choices
    }

    /// Where an input can lie.
    fn places(&self, number: u32) -> Vec<Place> {
        match (self.reads(number), self.output) {
            (false, _) => vec![Place::Absent],
            (true, Output::None) => vec![Place::Own, Place::Shared],
            (true, _) => vec![Place::Own, Place::Shared, Place::Output],
        }
    }
}
