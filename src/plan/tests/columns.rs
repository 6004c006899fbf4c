//! shaders/lib/columns.wgsl, shaders/lib/merge_tree.wgsl and the loops of shaders/*_columns.wgsl
//! once more.

use super::super::{Columns, MAX_COLUMN_ROWS, Plan};
use super::{Lengths, MAX_WORKGROUP_BYTES, fits};

/// Rows that the kernels add up before they flush.
const CHUNK: u32 = 32;

/// Elements of a row that a workgroup sees.
fn tile(plan: &Plan) -> u32 {
    plan.workgroup * plan.word.width()
}

fn merged_columns(plan: &Plan, columns: &Columns) -> u32 {
    if columns.blocks == 1 {
        plan.count
    } else {
        tile(plan)
    }
}

fn merge_ways(columns: &Columns) -> u32 {
    if columns.blocks == 1 {
        columns.copies.min(columns.partials)
    } else {
        1
    }
}

pub(super) fn check(plan: &Plan, columns: &Columns) -> Lengths {
    let wide = u64::from;
    let width = plan.word.width();
    let numel = wide(plan.count) * wide(plan.slot_len);
    // Rows of whole copies of the channels, and of whole words: only the last one may be short.
    assert_eq!(wide(columns.words) * wide(width), numel);
    assert_eq!(
        wide(columns.row_words) * wide(width),
        wide(columns.copies) * wide(plan.count)
    );
    assert_eq!(columns.rows, columns.words.div_ceil(columns.row_words));
    // Blocks cut a row and slices the rows, none of them empty.
    assert_eq!(columns.blocks, columns.row_words.div_ceil(plan.workgroup));
    assert_eq!(columns.slices, columns.rows.div_ceil(columns.slice_rows));
    assert_eq!(
        wide(plan.groups),
        wide(columns.blocks) * wide(columns.slices)
    );
    let copies_apart = if columns.blocks == 1 { 1 } else { columns.copies };
    assert_eq!(
        wide(columns.partials),
        wide(columns.slices) * wide(copies_apart)
    );
    // The scratch holds what is merged in it: a pair of sums and a pivot or mean per column.
    let merged = merged_columns(plan, columns);
    let ways = merge_ways(columns);
    assert!(wide(merged) * wide(ways.max(copies_apart.min(1))) <= wide(tile(plan)));
    if columns.blocks == 1 {
        assert!(columns.copies * plan.count <= tile(plan));
    }
    assert!(tile(plan) * (8 + 4) <= MAX_WORKGROUP_BYTES);

    // The largest values of the index arithmetic, before anything bounds them.
    let padded_words = wide(columns.rows) * wide(columns.row_words);
    fits(wide(columns.slices) * wide(columns.slice_rows) * wide(columns.row_words));
    fits(padded_words + wide(columns.row_words));
    fits(padded_words * wide(width) + wide(tile(plan)));
    fits(numel + wide(columns.row_words) * wide(width));
    fits(wide(columns.rows) + wide(CHUNK));
    fits(9 * wide(columns.slice_rows) * wide(columns.copies));
    fits(1 + wide(plan.count) + wide(plan.count) * wide(columns.partials) + wide(tile(plan)));

    let slice_rows = wide(columns.slice_rows);
    assert!(slice_rows <= MAX_COLUMN_ROWS as u64);
    let per_lane = |columns: u32| wide(columns.div_ceil(plan.workgroup));
    let lane_partials = wide(columns.partials.div_ceil(ways));
    let merge_partials = per_lane(ways * merged) * (1 + lane_partials);
    let merge_copies = match columns.blocks {
        1 => tree(plan, columns.copies, plan.count),
        _ => 0,
    };
    let tree = tree(plan, ways, merged);
    let components = wide(width);
    let chunks = slice_rows.div_ceil(CHUNK.into());
    let by4 = slice_rows.div_ceil(4);
    let by2 = slice_rows.div_ceil(2);
    Lengths {
        iterations: [
            // moments
            per_lane(merged) * (2 + 10) + 2 * components + chunks + by4 + merge_copies,
            // normalize
            2 * merge_partials + 2 * tree + 2 * per_lane(merged) + components + by4,
            // backward_sums
            2 * components + chunks + by2 + merge_copies + per_lane(merged),
            // backward_dx
            merge_partials + tree + per_lane(merged) + components + by2,
        ]
        .into_iter()
        .max()
        .unwrap_or_default(),
        terms: wide(CHUNK).min(slice_rows).div_ceil(2),
        flushes: chunks,
        partials: lane_partials,
    }
}

/// Iterations of `merge_tree`.
fn tree(plan: &Plan, ways: u32, columns: u32) -> u64 {
    let (mut live, mut iterations) = (ways, 0);
    while live > 1 {
        let half = live.div_ceil(2);
        iterations += 1 + u64::from(((live - half) * columns).div_ceil(plan.workgroup));
        live = half;
    }
    iterations
}
