//! The geometry of columns; its WGSL twin is shaders/lib/columns.wgsl.

use super::tuning::{MAX_LANE_WORDS, MAX_MERGED};
use super::windows::Window;
use super::{Gains, Reduction, Tuning, Word};
use crate::View;

/// The tensor as rows of `row_words` words that hold whole copies of the channels, cut into blocks
/// of `tile_words` and slices of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    pub(crate) row_words: u32,
    /// Words of a row for one workgroup.
    pub(crate) tile_words: u32,
    /// Lanes side by side in a tile; each owns every such word of it.
    pub(crate) tile_lanes: u32,
    /// Rows that the lanes of a workgroup read side by side.
    pub(crate) row_lanes: u32,
    /// Workgroups side by side in a row.
    pub(crate) blocks: u32,
    /// Batch entries of this window, and the first one's number.
    pub(crate) batches: u32,
    pub(crate) first_batch: u32,
    /// Rows of the kernels before this window.
    pub(crate) first_row: u32,
    /// Rows of a batch entry in this window.
    pub(crate) rows: u32,
    /// Slices of those rows, and the first one's number.
    pub(crate) slices: u32,
    pub(crate) first_slice: u32,
    /// Words of the binding before the window.
    pub(crate) shift: u32,
}

/// Words of a row that a lane of split columns may own.
pub(crate) const SPANS: [u32; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16];

/// Words from which on two workgroups are faster than one that leaves other processors idle. A GPU never leaves as
/// many to one.
const ALONE_WORDS: usize = 16_384;
/// The same of each channel where two must merge: 1568x256 takes lavapipe 2.0 copies forward and 3.2 backward in one
/// slice, and 1.3 and 1.8 in two; 1.7 and 2.7 in four workgroups side by side.
const ALONE_CHANNEL_WORDS: usize = 32;

/// What all windows of a tensor have in common.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    row_words: usize,
    words: usize,
    blocks: usize,
    lanes: usize,
    row_lanes: usize,
    /// Merged columns of a workgroup.
    merged: usize,
    /// Columns whose partials are merged for one of them.
    fan: usize,
    /// Partial results that a slice leaves of a channel.
    pub(super) copies: usize,
}

impl Tile {
    pub(super) fn new(
        reduction: &Reduction,
        windows: &[Window],
        word: Word,
        tuning: &Tuning,
        most_words: usize,
    ) -> Self {
        let (view, width) = (reduction.view, word.width());
        // The shortest row of whole words that holds whole copies of the channels. Both divide the
        // tensor, and so does the row: it is their least common multiple.
        let shortest = view.count / gcd(view.count, width);
        // Where rows have the statistics, a row of the kernel is one of them.
        let repeats = if reduction.gains == Gains::Across {
            1
        } else {
            let most_words = most_words.min(tuning.narrow_tile_words);
            repeats(shortest, width, windows, (tuning.tile_lanes, most_words))
        };
        let row_words = shortest * repeats;
        // Blocks of about one width.
        let blocks = row_words.div_ceil(most_words);
        let tile_words = row_words.div_ceil(blocks);
        let blocks = row_words.div_ceil(tile_words);
        let tile_lanes = tile_words.min(tuning.tile_lanes);
        let copies = row_words * width / view.count;
        let whole = blocks == 1;
        Self {
            row_words,
            words: tile_words,
            blocks,
            lanes: tile_lanes,
            row_lanes: tuning.workgroup as usize / tile_lanes,
            merged: if whole {
                view.count
            } else {
                tile_words * width
            },
            fan: reduction.fan,
            copies: if whole { 1 } else { copies },
        }
    }

    /// Words of a row for each lane, the least of [`SPANS`] that suffice.
    pub(super) fn span(&self) -> u32 {
        let words = self.words.div_ceil(self.lanes) as u32;
        SPANS[SPANS.partition_point(|&span| span < words)]
    }

    fn rows(&self, view: View, word: Word) -> usize {
        view.slot_len() * view.count / word.width() / self.row_words
    }

    /// The most partial results of a channel: one lane may have to merge those of several columns,
    /// twice, and stay below lavapipe's 65,535 iterations together with its walk down the rows.
    pub(super) fn max_merged(&self, word: Word, tuning: &Tuning) -> usize {
        let tile = self.words * word.width();
        let ways = self.row_lanes * (tile / self.merged);
        let lanes = tuning.workgroup as usize;
        let most = MAX_MERGED * ways / (ways * self.merged).div_ceil(lanes);
        most / self.fan
    }

    /// Into how many slices to cut the rows of a window. Where `merges`, each workgroup of the second
    /// dispatch reads the partials of all its columns, so their number grows with the square of this;
    /// and no more than `most` if lanes can bear it.
    pub(super) fn slices(
        &self,
        view: View,
        word: Word,
        tuning: &Tuning,
        merges: bool,
        most: usize,
    ) -> usize {
        let rows = self.rows(view, word);
        let words = rows * self.words;
        let side_by_side = self.blocks * view.batch;
        let merged = self.merged * self.copies * self.fan;
        let worth = (words / tuning.words_per_partial / merged).isqrt().max(1);
        // Three workgroups take two processors as long as four.
        let power = worth.next_power_of_two();
        let worth = if 4 * worth < 3 * power {
            power / 2
        } else {
            power
        };
        let wanted = tuning.slices(side_by_side, words);
        let wanted = if merges {
            wanted.min(worth).min(most)
        } else {
            wanted
        };
        let is_alone = wanted * side_by_side == 1;
        let may_merge = !merges || most > 1 && words > ALONE_CHANNEL_WORDS * merged;
        let wanted = if is_alone && words >= ALONE_WORDS && may_merge {
            2
        } else {
            wanted
        };
        wanted.max(rows.div_ceil(self.row_lanes * (MAX_LANE_WORDS / self.span() as usize)))
    }
}

impl Columns {
    /// Whether every lane of every workgroup has as many words of a row as it can.
    pub(super) fn is_full(&self, span: u32, workgroup: u32) -> bool {
        self.row_words.is_multiple_of(self.tile_words)
            && self.tile_words == self.tile_lanes * span
            && self.tile_lanes * self.row_lanes == workgroup
    }

    pub(super) fn new(window: &Window, word: Word, tile: Tile, slices: usize) -> Self {
        let rows = tile.rows(window.view, word);
        Self {
            row_words: tile.row_words as u32,
            tile_words: tile.words as u32,
            tile_lanes: tile.lanes as u32,
            row_lanes: tile.row_lanes as u32,
            blocks: tile.blocks as u32,
            batches: window.view.batch as u32,
            first_batch: (window.first_slot / window.view.count) as u32,
            first_row: (window.start as usize / word.width() / tile.row_words) as u32,
            rows: rows as u32,
            slices: slices.min(rows) as u32,
            first_slice: (window.part * slices) as u32,
            shift: window.shift() / word.width() as u32,
        }
    }
}

/// How many of the shortest rows make one that keeps the lanes of a tile busy: as few of them idle as
/// can be, and then about four words for each. Rows come out even in every window.
fn repeats(
    shortest: usize,
    width: usize,
    windows: &[Window],
    (lanes, most_words): (usize, usize),
) -> usize {
    let comes_out = |n: usize| {
        let entry = |window: &Window| window.view.slot_len() * window.view.count;
        let mut words = windows.iter().map(|window| entry(window) / width);
        words.all(|words| words.is_multiple_of(n * shortest))
    };
    let idle = |n: usize| {
        let words = n * shortest;
        let owned = words.next_multiple_of(lanes);
        (owned - words) * 1000 / owned
    };
    (1..=most_words / shortest)
        .filter(|&n| comes_out(n))
        .min_by_key(|&n| (idle(n), (n * shortest).abs_diff(4 * lanes)))
        .unwrap_or(1)
}

const fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
