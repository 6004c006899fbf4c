//! `shaders/lib/columns.wgsl`, `shaders/lib/merge_tree.wgsl` and the loops of
//! `shaders/*_columns.wgsl` once more.

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
    let copies_apart = if columns.blocks == 1 {
        1
    } else {
        columns.copies
    };
    assert_eq!(
        wide(columns.partials),
        wide(columns.slices) * wide(copies_apart)
    );
    // The scratch holds what is merged in it: a pair of sums and a pivot or mean per column.
    let merged = merged_columns(plan, columns);
    let ways = merge_ways(columns);
    assert!(wide(merged) * wide(ways) <= wide(tile(plan)));
    if columns.blocks == 1 {
        assert!(columns.copies * plan.count <= tile(plan));
    }
    assert!(tile(plan) * (8 + 4) <= MAX_WORKGROUP_BYTES);

    // The largest values of the index arithmetic, before anything bounds them.
    let padded_words = wide(columns.rows) * wide(columns.row_words);
    fits(wide(columns.slices) * wide(columns.slice_rows));
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

struct Slice {
    index: u32,
    first_column: u32,
    row_begin: u32,
    row_end: u32,
}

fn slice_of(plan: &Plan, columns: &Columns, group: u32) -> Slice {
    let index = group / columns.blocks;
    let row_begin = index * columns.slice_rows;
    Slice {
        index,
        first_column: (group % columns.blocks) * tile(plan),
        row_begin,
        row_end: (row_begin + columns.slice_rows).min(columns.rows),
    }
}

fn lane_row_end(columns: &Columns, slice: &Slice, word: u32) -> u32 {
    if word >= columns.row_words || word >= columns.words {
        return slice.row_begin;
    }
    let rows = (columns.words - word).div_ceil(columns.row_words);
    slice.row_end.min(rows).max(slice.row_begin)
}

fn merged_column(plan: &Plan, columns: &Columns, word: u32, lane: u32, j: u32) -> u32 {
    let width = plan.word.width();
    if columns.blocks == 1 {
        (word * width + j) % plan.count
    } else {
        lane * width + j
    }
}

/// How many values of which channel went into a sum.
type Sum = (u32, u32);

/// Adds sums of one channel; `None` is what no lane wrote, and nobody may add.
fn add(a: Option<Sum>, b: Option<Sum>) -> Sum {
    let ((channel, n), (other, more)) = (a.expect("a sum"), b.expect("a sum"));
    assert_eq!(channel, other, "channels are mixed up");
    (channel, n + more)
}

fn merge_tree(scratch: &mut [Option<Sum>], ways: u32, columns: u32) {
    let mut live = ways;
    while live > 1 {
        let half = live.div_ceil(2);
        for i in 0..((live - half) * columns) as usize {
            let sum = add(scratch[i], scratch[i + (half * columns) as usize]);
            scratch[i] = Some(sum);
        }
        live = half;
    }
}

/// Walks through every lane of every group of both dispatches, and returns the iterations of the
/// longest walk.
pub(super) fn walk(plan: &Plan, columns: &Columns) -> u64 {
    let (state, longest) = walk_moments(plan, columns);
    merge_partials(plan, columns, &state);
    longest.max(walk_down(plan, columns))
}

/// The first dispatch: loops of four rows in chunks. Returns the partials that it leaves.
fn walk_moments(plan: &Plan, columns: &Columns) -> (Vec<Option<Sum>>, u64) {
    let width = plan.word.width();
    let row_columns = columns.row_words * width;
    let mut longest = 0;
    let mut reached = vec![false; columns.words as usize];
    let mut state: Vec<Option<Sum>> = vec![None; (plan.count * columns.partials) as usize];
    for group in 0..plan.groups {
        let slice = slice_of(plan, columns, group);
        let mut scratch: Vec<Option<Sum>> = vec![None; tile(plan) as usize];
        for lane in 0..plan.workgroup {
            let word = slice.first_column / width + lane;
            let row_end = lane_row_end(columns, &slice, word);
            let (mut n, mut iterations) = (0, 0);
            let mut begin = slice.row_begin;
            while begin < row_end {
                let end = (begin + CHUNK).min(row_end);
                iterations += 1;
                for row in (begin..end).step_by(4) {
                    iterations += 1;
                    for row in (row..row + 4).filter(|&row| row < end) {
                        let i = (row * columns.row_words + word) as usize;
                        assert!(!std::mem::replace(&mut reached[i], true));
                        n += 1;
                    }
                }
                begin += CHUNK;
            }
            longest = longest.max(iterations);
            if word < columns.row_words {
                for j in 0..width {
                    let channel = (word * width + j) % plan.count;
                    scratch[(lane * width + j) as usize] = Some((channel, n));
                }
            }
        }
        if columns.blocks == 1 {
            merge_tree(&mut scratch, columns.copies, plan.count);
        }
        for i in 0..merged_columns(plan, columns) {
            if slice.first_column + i >= row_columns {
                continue;
            }
            let sum = scratch[i as usize].expect("a sum");
            check_column(plan, columns, &slice, i, sum);
            let apart = if columns.blocks == 1 {
                plan.count
            } else {
                row_columns
            };
            let partial = slice.index * apart + slice.first_column + i;
            assert_eq!(state[partial as usize].replace(sum), None);
        }
    }
    assert!(reached.into_iter().all(|reached| reached));
    (state, longest)
}

/// `column_of`, which finds the samples of the pivot: the elements of one merged column.
fn check_column(plan: &Plan, columns: &Columns, slice: &Slice, i: u32, sum: Sum) {
    let width = plan.word.width();
    let row_columns = columns.row_words * width;
    let row_begin = slice.row_begin * row_columns;
    let end = (slice.row_end * columns.row_words).min(columns.words) * width;
    let first = row_begin + slice.first_column + i;
    let step = if columns.blocks == 1 {
        plan.count
    } else {
        row_columns
    };
    let elements: Vec<u32> = (first..end).step_by(step as usize).collect();
    let n = if first < end {
        (end - first).div_ceil(step)
    } else {
        0
    };
    assert_eq!((elements.len() as u32, n), (n, sum.1));
    for element in elements {
        assert_eq!(element % plan.count, sum.0);
        assert!((row_begin..end).contains(&element));
    }
}

/// The second dispatch's merging: every workgroup finds all values of each of its channels.
fn merge_partials(plan: &Plan, columns: &Columns, state: &[Option<Sum>]) {
    let width = plan.word.width();
    let merged = merged_columns(plan, columns);
    let ways = merge_ways(columns);
    let mut finished = vec![false; plan.count as usize];
    for group in 0..plan.groups {
        let slice = slice_of(plan, columns, group);
        let channel_of = |column: u32| (slice.first_column + column) % plan.count;
        let mut scratch: Vec<Option<Sum>> = vec![None; tile(plan) as usize];
        for i in 0..ways * merged {
            let channel = channel_of(i % merged);
            let sum = (i / merged..columns.partials)
                .step_by(ways as usize)
                .map(|p| state[(p * plan.count + channel) as usize])
                .fold((channel, 0), |sum, partial| add(Some(sum), partial));
            scratch[i as usize] = Some(sum);
        }
        merge_tree(&mut scratch, ways, merged);
        for i in 0..merged {
            assert_eq!(scratch[i as usize], Some((channel_of(i), plan.slot_len)));
            let channel = slice.first_column + i;
            if slice.index == 0 && channel < plan.count {
                assert!(!std::mem::replace(&mut finished[channel as usize], true));
            }
        }
        for lane in 0..plan.workgroup {
            let word = slice.first_column / width + lane;
            if lane_row_end(columns, &slice, word) == slice.row_begin {
                continue;
            }
            for j in 0..width {
                let column = merged_column(plan, columns, word, lane, j);
                assert!(column < merged);
                assert_eq!(channel_of(column), (word * width + j) % plan.count);
            }
        }
    }
    assert!(finished.into_iter().all(|finished| finished));
}

/// The second dispatch's loops, of four rows forward and of two backward.
fn walk_down(plan: &Plan, columns: &Columns) -> u64 {
    let mut longest = 0;
    for unroll in [4, 2] {
        let mut stored = vec![false; columns.words as usize];
        for group in 0..plan.groups {
            let slice = slice_of(plan, columns, group);
            for lane in 0..plan.workgroup {
                let word = slice.first_column / plan.word.width() + lane;
                let row_end = lane_row_end(columns, &slice, word);
                let mut iterations = 0;
                for row in (slice.row_begin..row_end).step_by(unroll) {
                    iterations += 1;
                    for row in (row..row + unroll as u32).filter(|&row| row < row_end) {
                        let i = (row * columns.row_words + word) as usize;
                        assert!(!std::mem::replace(&mut stored[i], true));
                    }
                }
                longest = longest.max(iterations);
            }
        }
        assert!(stored.into_iter().all(|stored| stored));
    }
    longest
}
