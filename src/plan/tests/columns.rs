//! `shaders/lib/columns.wgsl` and `shaders/lib/merge_tree.wgsl` once more, and the loops of
//! `shaders/*_columns.wgsl`.

use super::params::ColumnsParams;
use super::slots::Slots;
use super::{Cut, Form, NUMBERS, Pass, Plan, field, sample_at};
use crate::plan::Columns;

pub(super) struct Slice {
    batch: u32,
    pub(super) index: u32,
    pub(super) first_column: u32,
    row_begin: u32,
    row_end: u32,
}

pub(super) struct Walk {
    word: u32,
    word_step: u32,
    last_word: u32,
    pub(super) row_begin: u32,
    pub(super) row_step: u32,
    pub(super) row_end: u32,
    last_row: u32,
    tile_element: u32,
    tile_words: u32,
}

/// `Params`, and what the pipeline knows.
pub(super) struct Params {
    pub(super) workgroup: u32,
    pub(super) width: u32,
    pub(super) span: u32,
    /// Whether the shader takes every lane for full.
    pub(super) full: bool,
    pub(super) groups: u32,
    pub(super) grid_width: u32,
    pub(super) slots_of: Slots,
    pub(super) count: u32,
    pub(super) partials: u32,
    merged: u32,
    first_batch: u32,
    slices: u32,
    first_slice: u32,
    pub(super) first_row: u32,
    shift: u32,
    rows: u32,
    row_words: u32,
    tile_words: u32,
    tile_lanes: u32,
    row_lanes: u32,
    blocks: u32,
    slice_rows: u32,
    more_rows: u32,
}

fn last_of(first: u32, step: u32, end: u32) -> u32 {
    first + (end.max(first + 1) - 1 - first) / step * step
}

impl Params {
    pub(super) fn new(plan: &Plan, cut: &Cut, columns: &Columns) -> Self {
        let block = ColumnsParams::new(plan, cut, columns, &NUMBERS);
        let block = bytemuck::bytes_of(&block);
        let get = |name| field(ColumnsParams::FIELDS, block, name);
        Self {
            workgroup: plan.workgroup,
            width: plan.word.width() as u32,
            span: match plan.form {
                Form::Span(span) => span,
                _ => 1,
            },
            full: cut.geometry.is_full(plan.form, plan.workgroup),
            groups: get("groups"),
            grid_width: get("grid_width"),
            slots_of: Slots::new(plan, get("fan"), get("gains")),
            count: get("count"),
            partials: get("partials"),
            merged: get("merged"),
            first_batch: get("first_batch"),
            slices: get("slices"),
            first_slice: get("first_slice"),
            first_row: get("first_row"),
            shift: get("shift"),
            rows: get("rows"),
            row_words: get("row_words"),
            tile_words: get("tile_words"),
            tile_lanes: get("tile_lanes"),
            row_lanes: get("row_lanes"),
            blocks: get("blocks"),
            slice_rows: get("slice_rows"),
            more_rows: get("more_rows"),
        }
    }

    /// `TILE`, what the shared memory holds.
    pub(super) fn tile(&self) -> u32 {
        self.workgroup * self.width * self.span
    }

    pub(super) fn slice_of(&self, group: u32) -> Slice {
        let slice = group / self.blocks;
        let block = group - slice * self.blocks;
        let batch = slice / self.slices;
        let i = slice - batch * self.slices;
        let row_begin = batch * self.rows + i * self.slice_rows + i.min(self.more_rows);
        Slice {
            batch: self.first_batch + batch,
            index: self.first_slice + i,
            first_column: block * self.tile_words * self.width,
            row_begin,
            row_end: row_begin + self.slice_rows + u32::from(i < self.more_rows),
        }
    }

    pub(super) fn walk_of(&self, slice: &Slice, lane: u32) -> Walk {
        let begin = slice.first_column / self.width;
        let word_end = (begin + self.tile_words).min(self.row_words);
        let row_lane = lane / self.tile_lanes;
        let place = lane - row_lane * self.tile_lanes;
        let word = begin + place;
        let row_begin = slice.row_begin + row_lane;
        let works = word < word_end && row_lane < self.row_lanes && row_begin < slice.row_end;
        let row_end = if works { slice.row_end } else { row_begin };
        if self.full {
            // What the shader then asks no more.
            let last = word + (self.span - 1) * self.tile_lanes;
            assert!(last < word_end && row_lane < self.row_lanes);
        }
        Walk {
            word,
            word_step: self.tile_lanes,
            last_word: last_of(word, self.tile_lanes, word_end),
            row_begin,
            row_step: self.row_lanes,
            row_end,
            last_row: last_of(row_begin, self.row_lanes, row_end),
            tile_element: (row_lane * self.tile_words + place) * self.width,
            tile_words: if row_lane < self.row_lanes {
                self.tile_words - place
            } else {
                0
            },
        }
    }

    pub(super) fn span_word(walk: &Walk, j: u32) -> u32 {
        (walk.word + j * walk.word_step).min(walk.last_word)
    }

    pub(super) fn word_of(&self, walk: &Walk, row: u32, i: u32) -> u32 {
        self.shift
            + self.row_of(walk, row, i) * self.row_words
            + Self::span_word(walk, i % self.span)
    }

    /// The same where every lane holds as many words as it can.
    pub(super) fn full_word(&self, walk: &Walk, row: u32) -> u32 {
        self.shift + row * self.row_words + walk.word
    }

    pub(super) fn row_of(&self, walk: &Walk, row: u32, i: u32) -> u32 {
        if i < self.span {
            row
        } else {
            (row + i / self.span * walk.row_step).min(walk.last_row)
        }
    }

    pub(super) fn is_new(&self, walk: &Walk, row: u32, i: u32) -> bool {
        i < self.span || row + i / self.span * walk.row_step < walk.row_end
    }

    pub(super) fn slot_of(&self, slice: &Slice, column: u32) -> u32 {
        slice.batch * self.count + channel_of(column, self.count, 0)
    }

    pub(super) fn statistic_partial(&self, statistic: u32, i: u32) -> u32 {
        if !self.slots_of.is_grouped() {
            return i * self.count + statistic;
        }
        let fan = self.slots_of.fan;
        let first = statistic * fan;
        let batch = first / self.count;
        let row = batch * self.partials + i / fan;
        row * self.count + first - batch * self.count + i % fan
    }

    pub(super) fn statistic_partials(&self) -> u32 {
        self.merged
    }

    pub(super) fn partial_slot(&self, statistic: u32, i: u32) -> u32 {
        let fan = self.slots_of.fan;
        statistic * fan + i % fan
    }

    fn row_columns(&self) -> u32 {
        self.row_words * self.width
    }

    pub(super) fn merged_columns(&self) -> u32 {
        if self.blocks == 1 {
            self.count
        } else {
            self.tile_words * self.width
        }
    }

    pub(super) fn merged_lanes(&self) -> u32 {
        self.row_lanes * (self.tile_words * self.width / self.merged_columns())
    }

    pub(super) fn merge_ways(&self) -> u32 {
        self.merged_lanes().min(self.merged)
    }

    pub(super) fn merged_column(&self, slice: &Slice, word: u32, c: u32) -> u32 {
        let column = word * self.width + c;
        if self.blocks == 1 {
            channel_of(column, self.count, 0)
        } else {
            column - slice.first_column
        }
    }

    pub(super) fn is_in_tile(walk: &Walk, j: u32) -> bool {
        j * walk.word_step < walk.tile_words
    }

    pub(super) fn tile_element(&self, walk: &Walk, j: u32, c: u32) -> u32 {
        walk.tile_element + j * walk.word_step * self.width + c
    }

    fn all_columns(&self) -> u32 {
        if self.blocks == 1 {
            self.count
        } else {
            self.row_columns()
        }
    }

    pub(super) fn column_n(&self, slice: &Slice) -> u32 {
        (slice.row_end - slice.row_begin) * (self.row_columns() / self.all_columns())
    }

    pub(super) fn is_column(&self, slice: &Slice, i: u32) -> bool {
        slice.first_column + i < self.row_columns()
    }

    pub(super) fn column_partial(&self, slice: &Slice, i: u32) -> u32 {
        let before = slice.batch * self.partials * self.count;
        before + slice.index * self.all_columns() + slice.first_column + i
    }

    /// The elements that `column_pivot` looks at.
    pub(super) fn samples(&self, slice: &Slice, i: u32) -> impl Iterator<Item = u32> {
        let shift = self.shift * self.width;
        let first = shift + slice.row_begin * self.row_columns() + slice.first_column + i;
        let (step, n) = (self.all_columns(), self.column_n(slice));
        (0..10).map(move |i| first + sample_at(i, n) * step)
    }

    /// The row loop of a kernel that takes `rows` rows at once: shows every word's row and number
    /// among those; returns its iterations, of which each goes through the words so often.
    pub(super) fn walk_rows(&self, walk: &Walk, rows: u32, mut visit: impl FnMut(u32, u32)) -> u64 {
        let (mut row, mut iterations) = (walk.row_begin, 0);
        while row < walk.row_end {
            for i in 0..rows * self.span {
                visit(row, i);
            }
            row += rows * walk.row_step;
            iterations += 1 + 2 * u64::from(rows * self.span);
        }
        iterations
    }
}

/// `channel_of`, whose division may be off by so many ULP.
fn channel_of(column: u32, count: u32, ulp: i32) -> u32 {
    let quotient = (column as f32 / count as f32).to_bits();
    let quotient = f32::from_bits(quotient.saturating_add_signed(ulp));
    #[allow(clippy::cast_sign_loss)]
    let before = quotient as u32 * count;
    let channel = column.wrapping_sub(before);
    if before > column {
        channel.wrapping_add(count)
    } else if channel >= count {
        channel - count
    } else {
        channel
    }
}

#[test]
fn a_quotient_of_f32_finds_the_channel() {
    for count in [1, 2, 3, 50, 257, 1_048_577, 8_388_609, (1 << 28) - 1] {
        let copies = (u32::MAX / 2 / count).min(512);
        for copy in 0..copies {
            for place in [0, 1, count / 2, count - 1] {
                let place = place.min(count - 1);
                for ulp in -3..=3 {
                    assert_eq!(channel_of(copy * count + place, count, ulp), place);
                }
            }
        }
    }
}

/// Rows that a lane reads at once: `ROWS`, or `PAIRS` where it reads two tensors.
pub(super) fn rows_at_once(span: u32, reads_dy: bool) -> u32 {
    let rows = (4 / span).max(1);
    if reads_dy { (rows / 2).max(1) } else { rows }
}

/// Rows after which a lane adds up its sums; it does so once more after as many or more.
pub(super) const CHUNK: u64 = 16;

/// Iterations of `merge_tree`.
fn merge_tree(ways: u64, columns: u64, workgroup: u64) -> u64 {
    let (mut live, mut iterations) = (ways, 0);
    while live > 1 {
        let half = live.div_ceil(2);
        iterations += 1 + ((live - half) * columns).div_ceil(workgroup);
        live = half;
    }
    iterations
}

/// The most loop iterations of a lane in any kernel, by formula; loops over the words of a lane are
/// counted in, though most drivers unroll them.
pub(super) fn iterations(plan: &Plan, cut: &Cut, columns: &Columns, pass: Pass) -> u64 {
    let params = Params::new(plan, cut, columns);
    let [workgroup, width, span] = [params.workgroup, params.width, params.span].map(u64::from);
    let merged = u64::from(params.merged_columns());
    let each = merged.div_ceil(workgroup);
    let lanes_tree = merge_tree(params.merged_lanes().into(), merged, workgroup);
    let own = span * (1 + width);
    let rows = u64::from(columns.rows.div_ceil(columns.slices));
    let rows = rows.div_ceil(params.row_lanes.into());
    if let Form::HeldColumns(held) = plan.form {
        return 2 * u64::from(held) + 13 * each + lanes_tree + 4 * own;
    }
    let walk = |reads_dy| {
        let at_once = u64::from(rows_at_once(params.span, reads_dy));
        // Of 8 rows the gates are read or written together.
        rows.div_ceil(at_once) * (1 + 2 * at_once * span) + rows.div_ceil(8) * (1 + span)
    };
    if pass == Pass::Flat {
        return 12 * each + own + walk(true);
    }
    let flushes = 2 * rows.div_ceil(CHUNK) * (1 + span);
    let ways = u64::from(params.merge_ways()).max(1);
    let share = u64::from(params.merged).div_ceil(ways);
    let merge = (ways * merged).div_ceil(workgroup) * (1 + share + share.div_ceil(32));
    let tree = merge_tree(ways, merged, workgroup);
    let moments = 13 * each + 2 * own + walk(false) + flushes + lanes_tree;
    let normalize = 12 * each + 2 * (merge + tree + width * span) + own + walk(false);
    let backward_sums = each + 2 * own + walk(true) + flushes + lanes_tree;
    let backward_dx = merge + tree + each + own + walk(true);
    moments.max(normalize).max(backward_sums).max(backward_dx)
}
