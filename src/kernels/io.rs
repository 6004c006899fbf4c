//! Which snippets of shaders/lib/io_*.wgsl and element_*.wgsl a kernel is linked with.

use super::{Form, Half, Reduce, Word, binding, lib};
use crate::gpu::{Access, Binding, Tensor};

/// Where the kernel finds an activation that it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// In a buffer that the dispatch only reads.
    Own,
    /// In a buffer of which the dispatch writes another range.
    Shared,
    /// In the place of the output.
    Output,
    /// Nowhere: the kernel does without.
    Absent,
}

/// The activation that a kernel writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    None,
    Y,
    Dx,
}

/// The gains and offsets that a kernel links, see shaders/lib/gains_*.wgsl and offsets_*.wgsl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Linked {
    /// None at all.
    Nothing,
    /// Gamma where each element of a slot has its own.
    ElementGains,
    /// Gamma.
    Gains,
    /// Gamma and beta.
    GainsAndOffsets,
}

impl Linked {
    pub(super) fn sources(self, io: Io) -> Vec<&'static str> {
        let rows = !matches!(io.form, Form::Span(_) | Form::HeldColumns(_));
        if io.element_gains && io.form == Form::Ragged {
            return match self {
                Self::Nothing => vec![],
                Self::ElementGains | Self::Gains => lib!("gains_element_ragged").to_vec(),
                Self::GainsAndOffsets => {
                    lib!("gains_element_ragged", "offsets_element_ragged").to_vec()
                }
            };
        }
        let sources: &[&str] = match (self, io.element_gains) {
            (Self::Nothing, _) => &[],
            (Self::ElementGains, false) => lib!("gains_none"),
            (Self::ElementGains | Self::Gains, true) => lib!("gains_element"),
            (Self::GainsAndOffsets, true) => lib!("gains_element", "offsets_element"),
            (Self::Gains, false) if rows => lib!("gains_slot", "gains_none"),
            (Self::Gains, false) => lib!("gains_slot"),
            (Self::GainsAndOffsets, false) if rows => {
                lib!("gains_slot", "offsets_slot", "gains_none")
            }
            (Self::GainsAndOffsets, false) => lib!("gains_slot", "offsets_slot"),
        };
        sources.to_vec()
    }

    pub(super) fn bindings(self, io: Io) -> Vec<Binding> {
        let written = |number, name| Binding {
            number,
            name,
            access: Access::ReadWrite,
        };
        let (gamma, beta) = (
            written(binding::GAMMA, "gamma"),
            written(binding::BETA, "beta"),
        );
        match self {
            Self::Nothing => vec![],
            Self::ElementGains if !io.element_gains => vec![],
            Self::ElementGains | Self::Gains => vec![gamma],
            Self::GainsAndOffsets => vec![gamma, beta],
        }
    }
}

/// One choice of snippets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Io {
    pub(super) word: Word,
    pub(super) form: Form,
    /// Whether a window's first and last word may hold elements of other windows.
    pub(super) keeps_ends: bool,
    pub(super) reduce: Reduce,
    /// Whether each element of a slot has a gain of its own.
    pub(super) element_gains: bool,
    pub(super) x: Place,
    pub(super) dy: Place,
}

impl Place {
    /// Where `tensor` is for a dispatch that writes `output` and binds `others` `read_write`.
    pub(super) fn of(tensor: &Tensor, output: Option<&Tensor>, others: &[(u32, &Tensor)]) -> Self {
        if output.is_some_and(|output| tensor.same_place(output)) {
            return Self::Output;
        }
        let shared = output.is_some_and(|output| tensor.same_buffer(output))
            || others.iter().any(|(_, other)| tensor.same_buffer(other));
        if shared { Self::Shared } else { Self::Own }
    }

    /// Whether the activation has a binding of its own.
    pub(super) fn is_bound(self) -> bool {
        matches!(self, Self::Own | Self::Shared)
    }

    fn binding(self, number: u32, name: &'static str) -> Option<Binding> {
        let access = match self {
            Self::Own => Access::Read,
            Self::Shared => Access::ReadWrite,
            Self::Output | Self::Absent => return None,
        };
        Some(Binding {
            number,
            name,
            access,
        })
    }
}

impl Word {
    /// What a word is, and what that is made of.
    fn sources(self) -> (&'static str, &'static [&'static str]) {
        let whole = |half: Half| match half {
            Half::F16 => lib!("element_f16", "element_alone"),
            Half::Bf16 => lib!("element_bf16", "element_alone"),
        };
        match self {
            Self::F32 => (lib!("element_f32")[0], lib!("element_alone")),
            Self::F32x4 => (lib!("element_f32x4")[0], lib!("element_alone")),
            Self::U64x2 => (lib!("element_u64x2")[0], lib!("element_alone")),
            Self::U32(half) => (lib!("element_half_u32")[0], whole(half)),
            Self::U32x2(half) => (lib!("element_half_u32x2")[0], whole(half)),
            Self::U64(half) => (lib!("element_half_u64")[0], whole(half)),
            Self::Single(half) => (lib!("element_half_single")[0], &whole(half)[..1]),
        }
    }
}

impl Form {
    fn sources(self) -> Vec<&'static str> {
        let held = |words: u32| HELD[words.ilog2() as usize];
        match self {
            Self::Whole => lib!("rows_whole").to_vec(),
            Self::Ragged => lib!("rows_ragged").to_vec(),
            Self::Span(words) => vec![SPANS[words as usize - 1]],
            Self::HeldRows(words) => vec![lib!("rows_whole")[0], held(words)],
            Self::HeldColumns(words) => vec![SPANS[0], held(words)],
        }
    }
}

impl Reduce {
    /// How lanes add up, and what they wait for each other with.
    pub(super) fn sources(self) -> [&'static str; 2] {
        *match self {
            Self::Shared => lib!("reduce_shared", "barrier_workgroup"),
            Self::Subgroups => lib!("reduce_subgroups", "barrier_workgroup"),
            Self::OneSubgroup => lib!("reduce_one_subgroup", "barrier_subgroup"),
        }
    }

    /// Columns have a merge of their own and need the barrier alone.
    fn sources_of(self, form: Form) -> Vec<&'static str> {
        let [reduce, barrier] = self.sources();
        match form {
            Form::Span(_) | Form::HeldColumns(_) => vec![barrier],
            _ => vec![reduce, barrier],
        }
    }
}

/// Words of a row that a lane of split columns owns, from 1 up.
pub(super) const SPANS: &[&str] = lib!(
    "span_1", "span_2", "span_3", "span_4", "span_5", "span_6", "span_7", "span_8"
);
/// Words that a lane of a resident kernel holds, by their binary logarithm.
const HELD: &[&str] = lib!("held_1", "held_2", "held_4", "held_8", "held_16", "held_32");

impl Io {
    /// A number for each choice.
    pub(super) fn variant(self) -> u32 {
        let form = match self.form {
            Form::Whole => 0,
            Form::Ragged => 1,
            Form::Span(words) => 1 + words,
            Form::HeldRows(words) => 16 + words.ilog2(),
            Form::HeldColumns(words) => 24 + words.ilog2(),
        };
        let linked = (form * 16 + self.word.index()) * 4 + self.reduce as u32;
        let linked = linked * 2 + u32::from(self.element_gains);
        let linked = linked * 2 + u32::from(self.keeps_ends);
        (linked * 4 + self.x as u32) * 4 + self.dy as u32
    }

    pub(super) fn sources(self, reads_dy: bool, output: Output) -> Vec<&'static str> {
        let mut sources = self.activations(reads_dy, output);
        sources.extend(self.form.sources());
        sources.extend(self.reduce.sources_of(self.form));
        sources
    }

    /// What a word is, and where x, dy and the output lie.
    pub(super) fn activations(self, reads_dy: bool, output: Output) -> Vec<&'static str> {
        let x: &[&str] = match (self.x, output) {
            (Place::Own, _) => lib!("io_x"),
            (Place::Shared, _) => lib!("io_x_shared"),
            (Place::Output, Output::Y) => lib!("io_x_in_y"),
            (Place::Output, _) => lib!("io_x_in_dx"),
            (Place::Absent, _) => lib!("io_x_none"),
        };
        let dy: &[&str] = match self.dy {
            _ if !reads_dy => &[],
            Place::Own | Place::Absent => lib!("io_dy"),
            Place::Shared => lib!("io_dy_shared"),
            Place::Output => lib!("io_dy_in_dx"),
        };
        let output: &[&str] = match output {
            Output::None => &[],
            Output::Y => lib!("io_y"),
            Output::Dx => lib!("io_dx"),
        };
        let ends: &[&str] = if self.keeps_ends {
            lib!("element_ends_kept")
        } else {
            lib!("element_ends_owned")
        };
        let (element, more) = self.word.sources();
        [&[element], x, dy, output, more, ends].concat()
    }

    pub(super) fn bindings(self, reads_dy: bool, output: Output) -> Vec<Binding> {
        let written = |name| Binding {
            number: binding::OUTPUT,
            name,
            access: Access::ReadWrite,
        };
        let output = match output {
            Output::None => None,
            Output::Y => Some(written("y")),
            Output::Dx => Some(written("dx")),
        };
        let dy = if reads_dy {
            self.dy.binding(binding::DY, "dy")
        } else {
            None
        };
        [self.x.binding(binding::X, "x"), dy, output]
            .into_iter()
            .flatten()
            .collect()
    }
}
