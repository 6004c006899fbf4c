//! The geometry of split columns; its WGSL twin is shaders/lib/columns.wgsl.

use super::{MAX_COLUMN_ROWS, Tuning, Word};
use crate::View;

/// The tensor as rows of `row_words` words that hold whole copies of the channels, cut into blocks
/// of `tile_words` and slices of `slice_rows`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    pub(crate) row_words: u32,
    /// Words of a row for one workgroup.
    pub(crate) tile_words: u32,
    /// Rows that the lanes of a workgroup read side by side.
    pub(crate) row_lanes: u32,
    /// Workgroups side by side in a row.
    pub(crate) blocks: u32,
    pub(crate) rows: u32,
    pub(crate) slice_rows: u32,
    pub(crate) slices: u32,
    /// Partial results of one channel.
    pub(crate) partials: u32,
}

impl Columns {
    pub(super) fn new(view: View, tuning: &Tuning) -> (Word, Self) {
        let workgroup = tuning.workgroup as usize;
        let numel = view.numel();
        let word = if numel.is_multiple_of(4) {
            Word::F32x4
        } else {
            Word::F32
        };
        let width = word.width() as usize;
        // The shortest row of whole words that holds whole copies of the channels. Both divide the
        // tensor, and so does the row: it is their least common multiple.
        let row_words = view.count / gcd(view.count, width);
        let copies = row_words * width / view.count;
        let rows = numel / width / row_words;
        // Blocks of about one width.
        let blocks = row_words.div_ceil(tuning.tile_words);
        let tile_words = row_words.div_ceil(blocks);
        let blocks = row_words.div_ceil(tile_words);
        let row_lanes = workgroup / tile_words;

        // Each workgroup of the second dispatch reads the partials of all its columns twice, so
        // more slices than this would make it read more partials than words of the tensor.
        let merged = if blocks == 1 {
            view.count
        } else {
            tile_words * width * copies
        };
        let worth = (rows * tile_words / (2 * merged)).isqrt().max(1);
        let wanted = tuning.slices(blocks, rows * tile_words).min(worth);
        let slice_rows = rows.div_ceil(wanted).min(MAX_COLUMN_ROWS * row_lanes);
        let slices = rows.div_ceil(slice_rows);
        let columns = Self {
            row_words: row_words as u32,
            tile_words: tile_words as u32,
            row_lanes: row_lanes as u32,
            blocks: blocks as u32,
            rows: rows as u32,
            slice_rows: slice_rows as u32,
            slices: slices as u32,
            partials: (slices * if blocks == 1 { 1 } else { copies }) as u32,
        };
        (word, columns)
    }
}

const fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
