//! The work on one window: its binding, its grid and how its lanes go through it.

use super::windows::Window;
use super::{Columns, Form, Rows, Word, bounded};
use crate::{Error, Result, View};

/// Words that share one of gates where a lane holds them: a chunk of `held.wgsl`.
const HELD_CHUNK: u32 = 8;

/// The work on one window of the tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The elements that the binding shows: from `first` on, `len` of them.
    pub(crate) first: u64,
    pub(crate) len: u64,
    /// Workgroups that have work; the grid may hold a few more.
    pub(crate) groups: u32,
    pub(crate) grid: [u32; 2],
    /// Words of gates of the windows before this one.
    pub(crate) gates: u32,
    /// Positions, which are elements of one channel, before this window.
    pub(crate) positions: u32,
    /// Those before the row that it begins in.
    pub(crate) row_positions: u32,
    pub(crate) geometry: Geometry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Geometry {
    Rows(Rows),
    Columns(Columns),
}

impl Geometry {
    /// The workgroups of a window with `count` slots.
    pub(super) fn groups(&self, count: usize) -> u64 {
        match self {
            Self::Rows(rows) => {
                let slots = count.div_ceil(rows.slots_per_group as usize);
                slots as u64 * u64::from(rows.slices)
            }
            Self::Columns(columns) => {
                let slices = u64::from(columns.batches) * u64::from(columns.slices);
                u64::from(columns.blocks) * slices
            }
        }
    }

    /// Words of bits that the lanes of a workgroup keep of the words that they go through, one for each
    /// element. Those of a lane lie a workgroup apart; where each has one at the most, lanes without words
    /// have no place.
    pub(crate) fn group_gates(&self, word: Word, form: Form, workgroup: u32) -> u32 {
        let of_lane = self.lane_gates(word, form);
        match (self, form) {
            (Self::Rows(rows), Form::Whole | Form::Ragged) if of_lane == 1 => {
                rows.slice_words().min(rows.lanes) * (workgroup / rows.lanes)
            }
            _ => of_lane * workgroup,
        }
    }

    /// Those of one lane.
    pub(super) fn lane_gates(&self, word: Word, form: Form) -> u32 {
        let words_of_gates = 32 / word.width() as u32;
        match (self, form) {
            (Self::Rows(rows), Form::HeldRows(held)) => rows.turns * held.div_ceil(HELD_CHUNK),
            (_, Form::HeldRows(held) | Form::HeldColumns(held)) => held.div_ceil(HELD_CHUNK),
            (Self::Rows(rows), _) => {
                let words = rows.slice_words();
                // Where there are several, a slice may begin and end within a piece.
                let cut = rows.turns > 1 && rows.slices > 1;
                let pieces = words.div_ceil(rows.piece_words) + u32::from(cut);
                let of_piece = words.min(rows.piece_words).div_ceil(rows.lanes);
                rows.turns * pieces * of_piece.div_ceil(words_of_gates)
            }
            (Self::Columns(columns), form) => {
                let span = match form {
                    Form::Span(span) => span,
                    _ => 1,
                };
                let rows = columns
                    .rows
                    .div_ceil(columns.slices)
                    .div_ceil(columns.row_lanes);
                rows.div_ceil(words_of_gates) * span
            }
        }
    }

    /// Whether a slot is one row of words.
    pub(crate) fn is_one_row(&self) -> bool {
        matches!(self, Self::Rows(rows) if rows.row_words == rows.slot_words)
    }

    /// Whether every lane of every workgroup has as many words as it can: of a slot in its registers, or of a
    /// row.
    pub(crate) fn is_full(&self, form: Form, workgroup: u32) -> bool {
        match (self, form) {
            (Self::Rows(rows), Form::HeldRows(held)) => {
                rows.slot_words == held * rows.lanes
                    && rows.slots.is_multiple_of(rows.slots_per_group)
            }
            (Self::Columns(columns), Form::HeldColumns(held)) => {
                columns.rows == held * columns.row_lanes && columns.is_full(1, workgroup)
            }
            (Self::Columns(columns), Form::Span(span)) => columns.is_full(span, workgroup),
            _ => false,
        }
    }

    /// Whether slots are cut into several slices.
    pub(super) fn is_cut(&self) -> bool {
        match self {
            Self::Rows(rows) => rows.slices > 1,
            Self::Columns(columns) => columns.slices > 1,
        }
    }

    /// The number of the slice after this window's last one.
    pub(super) fn slices_end(&self) -> u32 {
        match self {
            Self::Rows(rows) => rows.first_slice + rows.slices,
            Self::Columns(columns) => columns.first_slice + columns.slices,
        }
    }
}

impl Cut {
    pub(super) fn new(
        window: &Window,
        geometry: Geometry,
        view: View,
        max_groups: u32,
    ) -> Result<Self> {
        let first = window.start - u64::from(window.shift());
        // A word that straddles two windows belongs to the first of them.
        let end = window.start + window.view.numel() as u64;
        let end = end
            .next_multiple_of(Word::WIDEST as u64)
            .min(view.numel() as u64);
        let groups = geometry.groups(window.view.count);
        // Of one batch entry; masks have no other, and no more positions than a u32 counts.
        let (row, inner) = ((view.count * view.inner) as u64, view.inner as u64);
        let row_positions = window.start / row * inner;
        let positions = row_positions + window.start % inner;
        Ok(Self {
            first,
            len: end - first,
            groups: bounded("workgroups", groups, u32::MAX.into())?,
            grid: fold(groups, max_groups)?,
            gates: 0,
            positions: positions as u32,
            row_positions: row_positions as u32,
            geometry,
        })
    }

    /// Words of bits that the lanes of all its workgroups keep.
    pub(super) fn gate_words(&self, word: Word, form: Form, workgroup: u32) -> u64 {
        u64::from(self.groups) * u64::from(self.geometry.group_gates(word, form, workgroup))
    }
}

/// The grid for that many workgroups where a dimension is limited.
pub(super) fn fold(groups: u64, max_groups: u32) -> Result<[u32; 2]> {
    let max = u64::from(max_groups);
    let height = groups.div_ceil(max);
    if height > max {
        return Err(Error::TooLarge {
            name: "workgroups",
            needed: groups,
            limit: max * max,
        });
    }
    Ok([groups.div_ceil(height) as u32, height as u32])
}
