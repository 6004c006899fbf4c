//! The geometry of split rows; its WGSL twin is shaders/lib/rows.wgsl.

use super::{MAX_LANE_WORDS, MAX_TERMS, Tuning, UNROLL, Word};
use crate::View;

/// A slot is `outer` rows of `inner` words; a slice is a rectangle of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    clippy::struct_field_names,
    reason = "they are the uniform block's names"
)]
pub(crate) struct Rows {
    pub(crate) outer: u32,
    pub(crate) inner: u32,
    /// Slices of one slot: row slices times segments.
    pub(crate) slices: u32,
    pub(crate) slice_rows: u32,
    pub(crate) segments: u32,
    pub(crate) segment_words: u32,
    /// Binary logarithm of the lanes that share a row.
    pub(crate) lane_bits: u32,
}

impl Rows {
    pub(super) fn new(view: View, tuning: &Tuning) -> (Word, Self) {
        let word = if view.inner.is_multiple_of(4) {
            Word::F32x4
        } else {
            Word::F32
        };
        let inner = view.inner / word.width() as usize;
        let outer = view.outer;
        let lanes = inner
            .div_ceil(UNROLL)
            .next_power_of_two()
            .min(tuning.workgroup as usize);
        let row_step = tuning.workgroup as usize / lanes;

        let wanted = tuning.slices(view.count, outer * inner);
        let segments = wanted
            .div_ceil(outer)
            .max(inner.div_ceil(lanes * UNROLL * MAX_TERMS));
        let segment_words = inner.div_ceil(segments).next_multiple_of(lanes).min(inner);
        let segments = inner.div_ceil(segment_words);

        let lane_words = segment_words.div_ceil(lanes);
        let max_rows = row_step * (MAX_LANE_WORDS / lane_words).clamp(1, MAX_TERMS);
        let row_slices = wanted.div_ceil(segments).max(outer.div_ceil(max_rows));
        let slice_rows = outer
            .div_ceil(row_slices)
            .next_multiple_of(row_step)
            .min(outer);
        let row_slices = outer.div_ceil(slice_rows);
        let rows = Self {
            outer: outer as u32,
            inner: inner as u32,
            slices: (row_slices * segments) as u32,
            slice_rows: slice_rows as u32,
            segments: segments as u32,
            segment_words: segment_words as u32,
            lane_bits: lanes.trailing_zeros(),
        };
        (word, rows)
    }
}
