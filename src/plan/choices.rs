//! Everything that a plan can say of a kernel's text, read off the tables by which plans are made.

use super::tuning::{HeldWords, Tuning};
use super::word::Words;
use super::{Form, Pass, Reduce, SPANS, Word};
use crate::gpu::{DType, DeviceClass};

/// How the workgroups of a kernel go through an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Walk {
    Rows,
    Columns,
    /// Down the columns of rows that have the statistics.
    Across,
    HeldRows,
    HeldColumns,
}

/// What a plan decides of a kernel's text, and the workgroup that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Choice {
    pub(crate) word: Word,
    pub(crate) form: Form,
    pub(crate) keeps_ends: bool,
    pub(crate) reduce: Reduce,
    pub(crate) in_turns: bool,
    pub(crate) element_gains: bool,
    pub(crate) workgroup: u32,
}

/// No device has wider subgroups: WebGPU bounds them.
const WIDEST_SUBGROUP: u32 = 128;

impl Choice {
    /// Every choice that some plan makes for such a walk, in a forward or in a backward.
    pub(crate) fn all(walk: Walk, pass: Pass) -> Vec<Self> {
        let mut choices = Vec::new();
        for (tuning, words) in kinds() {
            for (word, form, keeps_ends) in forms(walk, pass, &tuning, words) {
                let apart = (walk == Walk::Rows && tuning.class == DeviceClass::Cpu)
                    .then_some(Reduce::Apart);
                let reduces = reduces(tuning.workgroup).chain(apart);
                let turns = if apart.is_some() {
                    &[false, true][..]
                } else {
                    &[false]
                };
                for (reduce, &in_turns) in reduces.flat_map(|r| turns.iter().map(move |t| (r, t))) {
                    let plain = Self {
                        word,
                        form,
                        keeps_ends,
                        reduce,
                        in_turns,
                        element_gains: false,
                        workgroup: tuning.workgroup,
                    };
                    if !plain.fills_wide_words() {
                        choices.push(plain);
                        choices.extend(plain.of_elements());
                    }
                }
            }
        }
        choices.sort_by_key(Self::order);
        choices.dedup();
        choices
    }

    /// Whether no plan needs these narrow words: rows of whole workgroups of slots, one behind the other, fill
    /// wide ones.
    fn fills_wide_words(&self) -> bool {
        let is_narrow = self.form == Form::Ragged && self.word.width() == 2;
        self.in_turns && self.reduce == Reduce::Apart && is_narrow && !self.keeps_ends
    }

    /// The same where each element of a slot has a gain of its own, which lies in whole words beside it
    /// or is taken one by one.
    fn of_elements(self) -> Option<Self> {
        // Those slots are single rows, which memory holds one after the other.
        let may = !self.in_turns
            && match self.form {
                Form::Whole | Form::HeldRows(_) => true,
                Form::Ragged => self.word.width() == 2 && !self.keeps_ends,
                Form::Span(_) | Form::HeldColumns(_) => false,
            };
        may.then_some(Self {
            element_gains: true,
            ..self
        })
    }

    /// Simple choices come first.
    fn order(&self) -> impl Ord + use<> {
        let form = match self.form {
            Form::Whole => 0,
            Form::Ragged => 1,
            Form::Span(words) | Form::HeldRows(words) | Form::HeldColumns(words) => words,
        };
        let more = (
            self.in_turns,
            self.element_gains,
            self.keeps_ends,
            self.workgroup,
        );
        (form, self.word.index(), self.reduce as u32, more)
    }
}

/// How lanes of such a workgroup add up on one device or another.
pub(crate) fn reduces(workgroup: u32) -> impl Iterator<Item = Reduce> {
    let one = (workgroup <= WIDEST_SUBGROUP).then_some(Reduce::OneSubgroup);
    [Reduce::Shared, Reduce::Subgroups].into_iter().chain(one)
}

/// Every class of device with the words of every type there.
pub(crate) fn kinds() -> Vec<(Tuning, Words)> {
    let mut kinds = Vec::new();
    for (class, int64) in [
        (DeviceClass::Gpu, false),
        (DeviceClass::Cpu, false),
        (DeviceClass::Cpu, true),
    ] {
        for dtype in [DType::F32, DType::F16, DType::Bf16] {
            kinds.push((Tuning::of(class), Words::of(dtype, int64)));
        }
    }
    kinds
}

/// The words of such a walk, how they lie among the slots, and whether windows share them.
fn forms(walk: Walk, pass: Pass, tuning: &Tuning, words: Words) -> Vec<(Word, Form, bool)> {
    let Words {
        wide,
        narrow,
        single,
    } = words;
    match walk {
        Walk::Rows => {
            let mut forms = vec![(wide, Form::Whole, false), (narrow, Form::Whole, false)];
            // One element straddles nothing, and a wide word no two batch entries.
            forms.push((wide, Form::Ragged, false));
            if narrow.width() > 1 {
                forms.extend([false, true].map(|keeps| (narrow, Form::Ragged, keeps)));
            }
            forms
        }
        Walk::Columns | Walk::Across => {
            let across = walk == Walk::Across;
            let words = [wide, narrow, if across { single } else { narrow }];
            let most = tuning.tile_words.div_ceil(tuning.tile_lanes) as u32;
            SPANS
                .into_iter()
                .filter(|&span| span <= most)
                .flat_map(|span| words.map(|word| (word, Form::Span(span), false)))
                .collect()
        }
        Walk::HeldRows | Walk::HeldColumns => {
            let form = |held| match walk {
                Walk::HeldRows => Form::HeldRows(held),
                _ => Form::HeldColumns(held),
            };
            let held = |word: Word| {
                let HeldWords { rows, columns } = tuning.held_words(word, pass);
                let most = if walk == Walk::HeldRows {
                    rows
                } else {
                    columns
                };
                (0..=most.ilog2()).map(|n| 1 << n)
            };
            [wide, narrow]
                .into_iter()
                .flat_map(|word| held(word).map(move |held| (word, form(held), false)))
                .collect()
        }
    }
}
