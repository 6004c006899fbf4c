//! Which snippets of shaders/lib/io_*.wgsl and element_*.wgsl a kernel is linked with.

use super::{Form, Half, Reduce, Word, binding, lib};
use crate::gpu::{Access, Binding, Tensor};
use crate::plan;

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

/// What a kernel binds for that which follows the norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Tail {
    /// Nothing.
    Plain,
    /// In a backward what makes y of x, of which the gates are computed again.
    Recomputed,
    /// The residual, which is x itself where it is absent; or where its gradient goes.
    Residual(Place),
}

impl Tail {
    /// The tail of a forward that writes y.
    pub(super) fn of_forward(
        residual: Option<&Tensor>,
        [x, y]: [&Tensor; 2],
        others: Others<'_>,
    ) -> Self {
        match residual {
            None => Self::Plain,
            // One binding serves both, since WebGPU forbids to bind what may be written twice.
            Some(residual) if residual.same_place(x) => Self::Residual(Place::Absent),
            Some(residual) => Self::Residual(Place::of(residual, Some(y), others)),
        }
    }

    /// The tail of a backward whose gates are computed again or not.
    pub(super) fn of_backward(recomputed: bool, dresidual: Option<&Tensor>) -> Self {
        match dresidual {
            Some(_) => Self::Residual(Place::Own),
            None if recomputed => Self::Recomputed,
            None => Self::Plain,
        }
    }

    /// What is linked for it into a kernel with that output.
    fn sources(self, output: Output, reads_dy: bool) -> Vec<&'static str> {
        let residual: &[&str] = match (output, self) {
            (Output::Y, Self::Residual(Place::Own)) => lib!("io_residual"),
            (Output::Y, Self::Residual(Place::Shared)) => lib!("io_residual_shared"),
            (Output::Y, Self::Residual(Place::Output)) => lib!("io_residual_in_y"),
            (Output::Y, Self::Residual(Place::Absent)) => lib!("io_residual_in_x"),
            (Output::Y, _) => lib!("io_residual_none"),
            (Output::Dx, Self::Residual(_)) => lib!("io_dresidual"),
            (Output::Dx, _) => lib!("io_dresidual_none"),
            (Output::None, _) => &[],
        };
        let gates: &[&str] = match self {
            _ if !reads_dy => &[],
            Self::Recomputed => lib!("gates_index", "gates_from_x"),
            _ => lib!("gates_index", "gates_kept"),
        };
        [residual, gates].concat()
    }

    /// Whether the residual has a binding of its own.
    pub(super) fn is_bound(self) -> bool {
        matches!(self, Self::Residual(place) if place.is_bound())
    }

    fn binding(self, output: Output) -> Option<Binding> {
        match (output, self) {
            (Output::Y, Self::Residual(place)) => place.binding(binding::RESIDUAL, "residual"),
            (Output::Dx, Self::Residual(_)) => Some(Binding {
                number: binding::RESIDUAL,
                name: "dresidual",
                access: Access::ReadWrite,
            }),
            _ => None,
        }
    }
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
    /// Where gates are computed from x the gains and offsets are both needed.
    fn with_tail(self, io: Io) -> Self {
        match io.tail {
            Tail::Recomputed => Self::GainsAndOffsets,
            _ => self,
        }
    }

    pub(super) fn sources(self, io: Io) -> Vec<&'static str> {
        let rows = !matches!(io.form, Form::Span(_) | Form::HeldColumns(_));
        let rows = rows || io.tail == Tail::Recomputed;
        if io.element_gains && io.form == Form::Ragged {
            return match self.with_tail(io) {
                Self::Nothing => vec![],
                Self::ElementGains | Self::Gains => lib!("gains_element_ragged").to_vec(),
                Self::GainsAndOffsets => {
                    lib!("gains_element_ragged", "offsets_element_ragged").to_vec()
                }
            };
        }
        let sources: &[&str] = match (self.with_tail(io), io.element_gains) {
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
        match self.with_tail(io) {
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
    /// Whether lanes that walk along rows take several slots in turns.
    pub(super) in_turns: bool,
    /// Whether each element of a slot has a gain of its own.
    pub(super) element_gains: bool,
    pub(super) x: Place,
    pub(super) dy: Place,
    pub(super) tail: Tail,
}

/// Tensors that a dispatch binds `read_write`.
pub(super) type Others<'a> = &'a [(u32, &'a Tensor)];

impl Place {
    /// Where `tensor` is for a dispatch that writes `output` and binds `others` `read_write`.
    pub(super) fn of(tensor: &Tensor, output: Option<&Tensor>, others: Others<'_>) -> Self {
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
            Self::Span(words) => vec![span(words)],
            Self::HeldRows(words) => vec![lib!("rows_whole")[0], held(words)],
            Self::HeldColumns(words) => vec![span(1), held(words)],
        }
    }
}

impl Form {
    /// How bits of positions lie among words of that form.
    pub(super) fn mask(self) -> &'static [&'static str] {
        match self {
            Self::Whole | Self::HeldRows(_) => lib!("mask_rows_whole"),
            Self::Ragged => lib!("mask_rows_ragged"),
            Self::Span(_) | Self::HeldColumns(_) => lib!("mask_columns"),
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
            // Nobody waits for anybody.
            Self::Apart => lib!("lanes_apart", "barrier_workgroup"),
        }
    }

    /// Columns have a merge of their own and need the barrier alone.
    fn sources_of(self, form: Form) -> Vec<&'static str> {
        let [reduce, barrier] = self.sources();
        match (form, self) {
            (Form::Span(_) | Form::HeldColumns(_), _) => vec![barrier],
            (_, Self::Apart) => vec![reduce],
            _ => vec![reduce, barrier, lib!("lanes_together")[0]],
        }
    }
}

/// Words of a row that a lane of split columns owns, those of `plan::SPANS`.
const SPANS: &[&str; plan::SPANS.len()] = lib!(
    "span_1", "span_2", "span_3", "span_4", "span_5", "span_6", "span_7", "span_8", "span_10",
    "span_12", "span_14", "span_16"
);

/// The snippet of so many words of a row for each lane.
pub(super) fn span(words: u32) -> &'static str {
    let i = plan::SPANS.partition_point(|&span| span < words);
    SPANS[i]
}
/// Words that a lane of a resident kernel holds, by their binary logarithm.
const HELD: &[&str] = lib!(
    "held_1", "held_2", "held_4", "held_8", "held_16", "held_32", "held_64"
);

impl Io {
    /// A number for each choice.
    pub(super) fn variant(self) -> u32 {
        let form = match self.form {
            Form::Whole => 0,
            Form::Ragged => 1,
            Form::Span(words) => 32 + words,
            Form::HeldRows(words) => 16 + words.ilog2(),
            Form::HeldColumns(words) => 24 + words.ilog2(),
        };
        let linked = (form * 16 + self.word.index()) * 4 + self.reduce as u32;
        let linked = linked * 2 + u32::from(self.in_turns);
        let linked = linked * 2 + u32::from(self.element_gains);
        let linked = linked * 2 + u32::from(self.keeps_ends);
        let placed = (linked * 4 + self.x as u32) * 4 + self.dy as u32;
        let tail = match self.tail {
            Tail::Plain => 0,
            Tail::Recomputed => 1,
            Tail::Residual(place) => 2 + place as u32,
        };
        placed * 6 + tail
    }

    pub(super) fn sources(self, reads_dy: bool, output: Output) -> Vec<&'static str> {
        let mut sources = self.activations(reads_dy, output);
        sources.extend(self.tail.sources(output, reads_dy));
        sources.extend(self.form.sources());
        sources.extend(self.reduce.sources_of(self.form));
        sources.extend(self.turns());
        sources
    }

    /// How many slots a lane walks along.
    fn turns(self) -> &'static [&'static str] {
        match self.form {
            Form::Whole | Form::Ragged if self.in_turns => lib!("turns_many"),
            Form::Whole | Form::Ragged | Form::HeldRows(_) => lib!("turns_one"),
            Form::Span(_) | Form::HeldColumns(_) => &[],
        }
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
        let tail = self.tail.binding(output);
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
        [self.x.binding(binding::X, "x"), dy, output, tail]
            .into_iter()
            .flatten()
            .collect()
    }
}
