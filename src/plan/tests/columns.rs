//! `shaders/lib/columns.wgsl` and the lengths of the loops of `shaders/lib/merge_tree.wgsl` and
//! `shaders/*_columns.wgsl` once more; `walk` goes through these loops.

mod walk;

pub(super) use walk::walk;

use super::super::{Columns, MAX_COLUMN_ROWS, MAX_TERMS, Plan};
use super::{Lengths, MAX_EXACT, MAX_WORKGROUP_BYTES, fits};

/// Rows that a lane adds up before it flushes.
const CHUNK: u32 = 64;
/// Partials that a lane adds up before it flushes.
const PARTIALS_CHUNK: u32 = 32;

struct Slice {
    index: u32,
    first_column: u32,
    row_begin: u32,
    row_end: u32,
}

struct Walk {
    word: u32,
    row_begin: u32,
    row_end: u32,
}

struct Column {
    first: u32,
    step: u32,
    n: u32,
}

/// The functions of shaders/lib/columns.wgsl under their names there.
#[derive(Clone, Copy)]
struct Model<'a> {
    plan: &'a Plan,
    columns: &'a Columns,
}

impl Model<'_> {
    fn width(&self) -> u32 {
        self.plan.word.width()
    }

    /// The override `TILE`, see `src/kernels`.
    fn tile(&self) -> u32 {
        self.plan.workgroup * self.width()
    }

    fn row_columns(&self) -> u32 {
        self.columns.row_words * self.width()
    }

    fn block_columns(&self) -> u32 {
        self.columns.tile_words * self.width()
    }

    fn merged_columns(&self) -> u32 {
        match self.columns.blocks {
            1 => self.plan.count,
            _ => self.block_columns(),
        }
    }

    fn merged_lanes(&self) -> u32 {
        self.columns.row_lanes * (self.block_columns() / self.merged_columns())
    }

    fn merge_ways(&self) -> u32 {
        self.merged_lanes().min(self.columns.partials)
    }

    fn slice_of(&self, group: u32) -> Slice {
        let index = group / self.columns.blocks;
        let row_begin = index * self.columns.slice_rows;
        Slice {
            index,
            first_column: (group % self.columns.blocks) * self.block_columns(),
            row_begin,
            row_end: (row_begin + self.columns.slice_rows).min(self.columns.rows),
        }
    }

    fn walk_of(&self, slice: &Slice, lane: u32) -> Walk {
        let columns = self.columns;
        let word = slice.first_column / self.width() + lane % columns.tile_words;
        let row_lane = lane / columns.tile_words;
        let row_begin = slice.row_begin + row_lane;
        let works = word < columns.row_words && row_lane < columns.row_lanes;
        let row_end = if works { slice.row_end } else { row_begin };
        Walk {
            word,
            row_begin,
            row_end,
        }
    }

    fn channel_of(&self, column: u32) -> u32 {
        column % self.plan.count
    }

    fn merged_column(&self, lane: u32, j: u32) -> u32 {
        (lane % self.columns.tile_words * self.width() + j) % self.merged_columns()
    }

    /// Merged columns of a whole row.
    fn all_columns(&self) -> u32 {
        match self.columns.blocks {
            1 => self.plan.count,
            _ => self.row_columns(),
        }
    }

    fn column_of(&self, slice: &Slice, i: u32) -> Column {
        let first = slice.row_begin * self.row_columns() + slice.first_column + i;
        let copies = self.row_columns() / self.all_columns();
        Column {
            first,
            step: self.all_columns(),
            n: (slice.row_end - slice.row_begin) * copies,
        }
    }

    fn is_column(&self, slice: &Slice, i: u32) -> bool {
        slice.first_column + i < self.row_columns()
    }

    /// Partials are counted from the first one here, not from the state's header.
    fn column_partial(&self, slice: &Slice, i: u32) -> u32 {
        slice.index * self.all_columns() + slice.first_column + i
    }

    fn slot_partial(&self, channel: u32, i: u32) -> u32 {
        i * self.plan.count + channel
    }

    /// Iterations of one lane that strides over `n` by the workgroup.
    fn per_lane(&self, n: u32) -> u64 {
        n.div_ceil(self.plan.workgroup).into()
    }

    /// Iterations of `merge_tree`.
    fn tree(&self, ways: u32) -> u64 {
        let (mut live, mut iterations) = (ways, 0);
        while live > 1 {
            let half = live.div_ceil(2);
            iterations += 1 + self.per_lane((live - half) * self.merged_columns());
            live = half;
        }
        iterations
    }
}

pub(super) fn check(plan: &Plan, columns: &Columns) -> Lengths {
    let model = Model { plan, columns };
    check_cut(model);
    check_indices(model);

    let wide = u64::from;
    let width = wide(model.width());
    let merged = model.per_lane(model.merged_columns());
    let ways = model.merge_ways();
    let lane_rows = wide(columns.slice_rows.div_ceil(columns.row_lanes));
    let chunks = lane_rows.div_ceil(CHUNK.into());
    let by4 = lane_rows.div_ceil(4);
    let by2 = lane_rows.div_ceil(2);
    let lane_partials = wide(columns.partials.div_ceil(ways));
    let partial_flushes = lane_partials.div_ceil(PARTIALS_CHUNK.into());
    // The backward's loop and each phase of the forward's.
    let entries = model.per_lane(ways * model.merged_columns());
    let merge_partials = entries * (1 + partial_flushes + lane_partials);
    let merge_lanes = model.tree(model.merged_lanes());
    let tree = model.tree(ways);
    // A lane owns no more of the scratch than it keeps in its `ds`.
    assert!(entries <= width);
    // The rounding that targets.md allows counts on these.
    assert!(lane_rows <= MAX_COLUMN_ROWS as u64);
    assert!(chunks <= MAX_TERMS as u64);
    assert!(partial_flushes <= MAX_TERMS as u64);
    Lengths {
        iterations: [
            // moments: pivots, their components, the walk, the scratch, the partials
            merged * (1 + 10) + width + chunks + by4 + width + merge_lanes + merged,
            // normalize: pivots, two phases, saved statistics, components, the walk
            merged * (1 + 10) + 2 * (merge_partials + tree) + 2 * width + merged + width + by4,
            // backward_sums
            width + chunks + by2 + width + merge_lanes + merged,
            // backward_dx
            merge_partials + tree + merged + width + by2,
        ]
        .into_iter()
        .max()
        .unwrap_or_default(),
        terms: wide(CHUNK).min(lane_rows).div_ceil(2),
        flushes: chunks,
        partial_terms: wide(PARTIALS_CHUNK).min(lane_partials),
        partial_flushes,
    }
}

/// The blocks and slices are a grid over the tensor, and what is merged fits the scratch.
fn check_cut(model: Model) {
    let wide = u64::from;
    let Model { plan, columns } = model;
    let width = model.width();
    let numel = wide(plan.count) * wide(plan.slot_len);
    // Rows hold whole copies of the channels and whole words, and the tensor whole rows: none is
    // short, so that no slice is without elements of any of its channels.
    assert!(model.row_columns().is_multiple_of(plan.count));
    let copies = model.row_columns() / plan.count;
    assert_eq!(wide(columns.rows) * wide(model.row_columns()), numel);
    // Blocks cut a row and slices the rows, none of them empty.
    assert_eq!(
        columns.blocks,
        columns.row_words.div_ceil(columns.tile_words)
    );
    assert_eq!(columns.slices, columns.rows.div_ceil(columns.slice_rows));
    assert_eq!(
        wide(plan.groups),
        wide(columns.blocks) * wide(columns.slices)
    );
    let copies_apart = if columns.blocks == 1 { 1 } else { copies };
    assert_eq!(
        wide(columns.partials),
        wide(columns.slices) * wide(copies_apart)
    );
    // Lanes are a grid over the block, and as many as fit the workgroup.
    assert!(columns.row_lanes >= 1 && columns.tile_words >= 1);
    let lanes = columns.row_lanes * columns.tile_words;
    assert!(lanes <= plan.workgroup && lanes + columns.tile_words > plan.workgroup);
    // The lanes' sums are whole copies of the merged columns, and so are the partials' ones.
    assert_eq!(
        model.merged_lanes() * model.merged_columns(),
        lanes * width,
        "lanes that nobody merges"
    );
    assert!(lanes * width <= model.tile());
    assert!(model.merge_ways() * model.merged_columns() <= model.tile());
    // A pair of sums and a pivot per entry.
    assert!(model.tile() * (8 + 4) <= MAX_WORKGROUP_BYTES);
    // The second dispatch reads no more partials, in both phases, than it reads words, unless the
    // length of the walks demands more slices.
    let block_words = wide(columns.rows) * wide(columns.tile_words);
    let reads = 2 * wide(model.merged_columns()) * wide(columns.partials);
    let demanded = columns.slice_rows == columns.row_lanes * MAX_COLUMN_ROWS as u32;
    assert!(columns.slices == 1 || demanded || wide(columns.slices) * reads <= block_words);
    // `n` of a partial is exact.
    let slice_rows = wide(columns.slice_rows.min(columns.rows));
    assert!(slice_rows * wide(copies / copies_apart) <= MAX_EXACT);
}

/// The largest values of the index arithmetic, before anything bounds them, do not wrap.
fn check_indices(model: Model) {
    let wide = u64::from;
    let Model { plan, columns } = model;
    let row_columns = wide(model.row_columns());
    let block_columns = wide(model.block_columns());
    let numel = wide(columns.rows) * row_columns;
    // slice_of, walk_of
    fits(wide(columns.blocks) * block_columns);
    fits(wide(columns.slices) * wide(columns.slice_rows) + wide(plan.workgroup));
    // column_of, and sample_at in its elements
    fits(numel + row_columns + block_columns);
    fits(10 * wide(columns.slice_rows) * (row_columns / wide(plan.count)));
    // The walks: begin + 64 * step, row + 3 * step
    fits(wide(columns.rows) + wide(CHUNK) * wide(columns.row_lanes));
    fits(wide(columns.rows) + 3 * wide(columns.row_lanes));
    // slot_pivot, begin + 32 * ways, slot_partial and column_partial
    fits(9 * wide(columns.partials));
    fits(wide(columns.partials) + wide(PARTIALS_CHUNK) * wide(model.merge_ways()));
    fits(1 + wide(plan.count) + wide(plan.count) * wide(columns.partials) + block_columns);
}
