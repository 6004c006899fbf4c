//! The resident strategy: a workgroup holds whole slots in its registers, so that a forward or a
//! backward is one dispatch that reads its inputs once.

use super::rows::Walk;
use super::tuning::Tuning;
use super::windows::Window;
use super::{Columns, Form, Gains, Geometry, Pass, Rows, Word};
use crate::View;

/// A resident cut of a whole tensor.
pub(super) struct Resident {
    pub(super) word: Word,
    pub(super) form: Form,
    pub(super) workgroup: u32,
    pub(super) geometry: Geometry,
}

/// Bytes of a row that a workgroup's lanes read side by side: a cache line of most devices, or less of
/// one where more rows must fit.
const TILE_BYTES: [usize; 3] = [128, 64, 32];

impl Resident {
    /// Slots that come in rows, of whole words. None where they do not fit.
    pub(super) fn rows(
        window: &Window,
        word: Word,
        pass: Pass,
        gains: Gains,
        tuning: &Tuning,
    ) -> Option<Self> {
        let view = window.view;
        let words = Rows::slot_words(view, word, Form::Whole);
        let held = tuning.held_words(word, pass).rows;
        let wanted = words
            .div_ceil(tuning.held_wanted.min(held))
            .next_power_of_two();
        let lanes = wanted.clamp(tuning.least_lanes, tuning.most_lanes());
        let (workgroup, shares) = tuning.resident_workgroup(lanes)?;
        let words_held = words.div_ceil(lanes).next_power_of_two();
        if words_held > held {
            return None;
        }
        let rows = Rows::new(
            window,
            word,
            Form::Whole,
            1,
            Walk::together(lanes),
            lanes as u32,
        );
        let gained = gains == Gains::Elements;
        let turns = tuning.turns(view.count.div_ceil(shares), words_held, gained);
        Some(Self {
            word,
            form: Form::HeldRows(words_held as u32),
            workgroup: workgroup as u32,
            geometry: Geometry::Rows(Rows {
                turns: turns as u32,
                slots_per_group: (shares * turns) as u32,
                ..rows
            }),
        })
    }

    /// Slots that lie side by side, in the first of the words that they fill. None where they do not
    /// fit, or where a word's copies of one channel would lie in several workgroups.
    pub(super) fn columns(
        window: &Window,
        words: [Word; 2],
        size: u64,
        pass: Pass,
        tuning: &Tuning,
    ) -> Option<Self> {
        let elements = TILE_BYTES.map(|bytes| bytes / size as usize);
        let tiles = elements
            .into_iter()
            .filter(|&n| n >= tuning.held_tile_least);
        let lanes = |word: Word| tiles.clone().map(move |n| (word, n / word.width()));
        words
            .into_iter()
            .flat_map(lanes)
            .find_map(|(word, lanes)| Self::tile(window, word, lanes, pass, tuning))
    }

    fn tile(
        window: &Window,
        word: Word,
        lanes: usize,
        pass: Pass,
        tuning: &Tuning,
    ) -> Option<Self> {
        let View {
            batch,
            outer,
            count,
            ..
        } = window.view;
        let width = word.width();
        // A row of one copy of the channels, or a shorter one that a single tile holds whole.
        let row_words = if count.is_multiple_of(width) {
            count / width
        } else {
            count
        };
        if !(outer * count).is_multiple_of(row_words * width) {
            return None;
        }
        let rows = outer * count / (row_words * width);
        let whole = row_words <= lanes;
        let tile_words = if whole { row_words } else { lanes };
        if !whole && row_words * width != count {
            return None;
        }
        let held = tuning.held_words(word, pass).columns;
        let row_lanes = rows.div_ceil(held).next_power_of_two();
        let needed = (row_lanes * tile_words)
            .next_power_of_two()
            .max(tuning.least_lanes);
        let (workgroup, _) = tuning.resident_workgroup(needed)?;
        let row_lanes = workgroup / tile_words;
        let words_held = rows.div_ceil(row_lanes).next_power_of_two();
        Some(Self {
            word,
            form: Form::HeldColumns(words_held as u32),
            workgroup: workgroup as u32,
            geometry: Geometry::Columns(Columns {
                row_words: row_words as u32,
                tile_words: tile_words as u32,
                tile_lanes: tile_words as u32,
                row_lanes: row_lanes as u32,
                blocks: row_words.div_ceil(tile_words) as u32,
                batches: batch as u32,
                first_batch: 0,
                first_row: 0,
                rows: rows as u32,
                slices: 1,
                first_slice: 0,
                shift: 0,
            }),
        })
    }
}
