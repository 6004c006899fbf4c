//! The geometry of rows; its WGSL twin is shaders/lib/rows.wgsl.

use super::tuning::{MAX_LANE_WORDS, UNIT};
use super::windows::Window;
use super::{Form, Tuning, Word};
use crate::View;

/// A slot is `outer` rows of `row_words` words, one after the other; a slice is a run of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) first_slot: u32,
    /// Slots of this window.
    pub(crate) slots: u32,
    /// Elements in a row.
    pub(crate) inner: u32,
    pub(crate) row_words: u32,
    /// Elements from one row of a slot to its next.
    pub(crate) row_stride: u32,
    /// Words of a slot in this window.
    pub(crate) slot_words: u32,
    /// Slices of a slot in this window, and the first one's number.
    pub(crate) slices: u32,
    pub(crate) first_slice: u32,
    /// Slots that a lane takes in turns.
    pub(crate) turns: u32,
    /// Words of one of them that a lane walks along before the next one's turn.
    pub(crate) piece_words: u32,
    /// Lanes that walk along one slot, and slots of one workgroup.
    pub(crate) lanes: u32,
    pub(crate) slots_per_group: u32,
    /// Elements of the binding before the window.
    pub(crate) shift: u32,
}

/// How the lanes of a workgroup share its slots.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    /// Lanes that walk along one slot.
    pub(super) walkers: usize,
    /// Slots that each of them takes in turns.
    pub(super) turns: usize,
    /// Words of one of them before the next one's turn: whole rows.
    pub(super) piece_words: usize,
}

impl Walk {
    /// All lanes along one slot, from its first to its last word.
    pub(super) const fn together(walkers: usize) -> Self {
        Self {
            walkers,
            turns: 1,
            piece_words: usize::MAX,
        }
    }
}

impl Rows {
    /// The words of a slot in a window.
    pub(super) fn slot_words(view: View, word: Word, form: Form) -> usize {
        view.outer * Self::row_words(view.inner, word, form)
    }

    /// How many words a row touches at the most, wherever it begins.
    pub(super) fn row_words(inner: usize, word: Word, form: Form) -> usize {
        match form {
            Form::Ragged => (inner + 2 * (word.width() - 1)) / word.width(),
            _ => inner / word.width(),
        }
    }

    /// Words of its longest slice.
    pub(super) fn slice_words(&self) -> u32 {
        let units = self.slot_words.div_ceil(UNIT as u32).div_ceil(self.slices);
        (units * UNIT as u32).min(self.slot_words)
    }

    /// Into how many slices to cut a slot of a window, and no more than `most` if lanes can bear it.
    pub(super) fn slices(
        view: View,
        word: Word,
        form: Form,
        tuning: &Tuning,
        walk: Walk,
        most: usize,
    ) -> usize {
        let words = Self::slot_words(view, word, form);
        let least = (walk.turns * words).div_ceil(walk.walkers * MAX_LANE_WORDS);
        let side_by_side = walk.turns * (tuning.workgroup as usize / walk.walkers);
        let slices = tuning.slices(view.count.div_ceil(side_by_side), words * side_by_side);
        slices.min(most).max(least)
    }

    pub(super) fn new(
        window: &Window,
        word: Word,
        form: Form,
        slices: usize,
        walk: Walk,
        lanes: u32,
    ) -> Self {
        let view = window.view;
        let slot_words = Self::slot_words(view, word, form);
        Self {
            first_slot: window.first_slot as u32,
            slots: view.count as u32,
            inner: view.inner as u32,
            row_words: Self::row_words(view.inner, word, form) as u32,
            row_stride: (view.count * view.inner) as u32,
            slot_words: slot_words as u32,
            slices: slices.min(slot_words.div_ceil(UNIT)) as u32,
            first_slice: (window.part * slices) as u32,
            turns: walk.turns as u32,
            piece_words: walk.piece_words.min(slot_words) as u32,
            lanes: walk.walkers as u32,
            slots_per_group: lanes / walk.walkers as u32 * walk.turns as u32,
            shift: window.shift(),
        }
    }
}
