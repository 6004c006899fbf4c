//! `shaders/lib/rows.wgsl` and the loops of `shaders/*_rows.wgsl` once more.

use super::super::{MAX_TERMS, Plan, Rows};
use super::{Lengths, MAX_EXACT, MAX_WORKGROUP_BYTES, fits, sample_at};

/// Words of a row that a lane adds up before it flushes, for each number of words at once: the
/// backward's sums take two words at once, the moments four.
const fn chunk(unroll: u32) -> u32 {
    32 * unroll
}

/// Partials that a lane adds up before it flushes.
const PARTIALS_CHUNK: u64 = 32;

struct Slice {
    slot: u32,
    index: u32,
    row_begin: u32,
    row_end: u32,
    word_begin: u32,
    word_end: u32,
}

fn slice_of(rows: &Rows, group: u32) -> Slice {
    let index = group % rows.slices;
    let row_begin = (index / rows.segments) * rows.slice_rows;
    let word_begin = (index % rows.segments) * rows.segment_words;
    Slice {
        slot: group / rows.slices,
        index,
        row_begin,
        row_end: (row_begin + rows.slice_rows).min(rows.outer),
        word_begin,
        word_end: (word_begin + rows.segment_words).min(rows.inner),
    }
}

fn row_base(plan: &Plan, rows: &Rows, slot: u32, row: u32) -> u32 {
    (row * plan.count + slot) * rows.inner
}

/// Lanes that share a row, and how many rows they take at once.
fn lanes(plan: &Plan, rows: &Rows) -> (u32, u32) {
    (1 << rows.lane_bits, plan.workgroup >> rows.lane_bits)
}

pub(super) fn check(plan: &Plan, rows: &Rows) -> Lengths {
    let wide = u64::from;
    // Slices are the rectangles of a grid over the slot, none of them empty: the last of each
    // direction begins within the slot and ends with it.
    let row_slices = rows.outer.div_ceil(rows.slice_rows);
    assert_eq!(rows.segments, rows.inner.div_ceil(rows.segment_words));
    assert_eq!(wide(rows.slices), wide(row_slices) * wide(rows.segments));
    assert_eq!(wide(plan.groups), wide(plan.count) * wide(rows.slices));
    let width = wide(plan.word.width());
    assert_eq!(
        wide(rows.outer) * wide(rows.inner) * width,
        wide(plan.slot_len)
    );
    // Lanes are a grid over the rows and words of a slice.
    let (lanes, row_step) = lanes(plan, rows);
    assert_eq!(lanes * row_step, plan.workgroup);
    // The scratch of the reduction.
    assert!(plan.workgroup * 8 <= MAX_WORKGROUP_BYTES);

    // The largest values of the index arithmetic, before anything bounds them.
    fits(wide(rows.outer) * wide(plan.count) * wide(rows.inner) + 1);
    fits(wide(row_slices) * wide(rows.slice_rows) + wide(row_step));
    // begin + 128 * lanes, and the samples of slice_pivot and slot_pivot
    fits(wide(rows.segments) * wide(rows.segment_words) + wide(chunk(4)) * wide(lanes));
    fits(10 * wide(rows.slice_rows.max(rows.segment_words)));
    fits(9 * wide(rows.slices));
    fits(1 + wide(plan.count) + wide(plan.count) * wide(rows.slices));

    let lane_rows = wide(rows.slice_rows.div_ceil(row_step));
    let lane_words = wide(rows.segment_words.div_ceil(lanes));
    let merged = wide(rows.slices.div_ceil(plan.workgroup));
    let reduction = reduction(plan.workgroup);
    let by = |unroll: u32| lane_rows * (1 + lane_words.div_ceil(unroll.into()));
    let flushes = |unroll: u32| lane_rows * lane_words.div_ceil(chunk(unroll).into());
    // The rounding that targets.md allows counts on these.
    assert!(lane_rows <= MAX_TERMS as u64);
    assert!(flushes(4) <= MAX_TERMS as u64);
    assert!(flushes(2) <= 2 * MAX_TERMS as u64);
    let merges = merged.div_ceil(PARTIALS_CHUNK);
    assert!(merges <= MAX_TERMS as u64);
    // begin + 32 * WORKGROUP
    fits(wide(rows.slices) + PARTIALS_CHUNK * wide(plan.workgroup));
    // `n` of a partial is exact.
    let slice_words = wide(rows.slice_rows) * wide(rows.segment_words);
    assert!(slice_words * width <= MAX_EXACT);
    Lengths {
        iterations: [
            10 + by(4) + flushes(4) + reduction,                // moments
            10 + 2 * (merged + merges) + 2 * reduction + by(4), // normalize
            by(2) + flushes(2) + reduction,                     // backward_sums
            merged + merges + reduction + by(2),                // backward_dx
        ]
        .into_iter()
        .max()
        .unwrap_or_default(),
        terms: lane_words.min(chunk(2).into()).div_ceil(2),
        flushes: flushes(2),
        partial_terms: merged.min(PARTIALS_CHUNK),
        partial_flushes: merges,
    }
}

/// Iterations of `workgroup_sum`.
fn reduction(workgroup: u32) -> u64 {
    let (mut live, mut rounds) = (workgroup, 0);
    while live > 1 {
        live = live.div_ceil(4);
        rounds += 1;
    }
    4 * rounds
}

/// Walks through every lane of every group, and returns the iterations of the longest.
pub(super) fn walk(plan: &Plan, rows: &Rows) -> u64 {
    let words = rows.outer * plan.count * rows.inner;
    let mut longest = 0;
    for unroll in [4, 2] {
        let mut reached = vec![false; words as usize];
        let mut written = vec![false; (plan.state_len() / 4) - 1 - plan.count as usize];
        for id in 0..plan.grid[0] * plan.grid[1] {
            let Some(group) = (id < plan.groups).then(|| plan.groups - 1 - id) else {
                continue;
            };
            let slice = slice_of(rows, group);
            assert!(slice.row_begin < slice.row_end && slice.word_begin < slice.word_end);
            let partial = (slice.slot * rows.slices + slice.index) as usize;
            assert!(!std::mem::replace(&mut written[partial], true));
            let slice_rows = slice.row_end - slice.row_begin;
            let slice_words = slice.word_end - slice.word_begin;
            for i in 0..10 {
                assert!(sample_at(i, slice_rows, 0) < slice_rows);
                assert!(sample_at(i, slice_words, 1 << 30) < slice_words);
                // slot_pivot reads partials of its own slot.
                assert!(i * rows.slices / 10 < rows.slices);
            }
            let mut walked = 0;
            for lane in 0..plan.workgroup {
                let (n, iterations) = walk_lane(plan, rows, &slice, lane, unroll, &mut reached);
                walked += n;
                longest = longest.max(iterations);
            }
            // The n that the moments kernel writes.
            assert_eq!(walked, slice_rows * slice_words);
        }
        assert!(reached.into_iter().all(|reached| reached));
        assert!(written.into_iter().all(|written| written));
    }
    longest
}

/// Marks the words that one lane takes; returns them and its iterations. The loops are those of the
/// first dispatch: the second one's do not flush.
fn walk_lane(
    plan: &Plan,
    rows: &Rows,
    slice: &Slice,
    lane: u32,
    unroll: u32,
    reached: &mut [bool],
) -> (u32, u64) {
    let (lanes, row_step) = lanes(plan, rows);
    let (mut n, mut iterations) = (0, 0);
    let mut row = slice.row_begin + (lane >> rows.lane_bits);
    while row < slice.row_end {
        iterations += 1;
        let base = row_base(plan, rows, slice.slot, row);
        let mut begin = slice.word_begin + (lane & (lanes - 1));
        while begin < slice.word_end {
            iterations += 1;
            let end = (begin + chunk(unroll) * lanes).min(slice.word_end);
            let mut i = begin;
            while i < end {
                iterations += 1;
                for word in (0..unroll).map(|j| i + j * lanes) {
                    // `within`: what lies behind the end is the lane's own word once more.
                    let loaded = if word < slice.word_end { word } else { i };
                    let owner = (loaded - slice.word_begin) & (lanes - 1);
                    assert_eq!(owner, lane & (lanes - 1), "a word of another lane");
                    assert_eq!((base + loaded) / rows.inner % plan.count, slice.slot);
                    if word < slice.word_end {
                        let i = (base + word) as usize;
                        assert!(!std::mem::replace(&mut reached[i], true));
                        n += 1;
                    }
                }
                i += unroll * lanes;
            }
            begin += chunk(unroll) * lanes;
        }
        row += row_step;
    }
    (n, iterations)
}

#[test]
fn a_reduction_takes_every_lane_once() {
    for workgroup in (0..=8).map(|bits| 1_usize << bits) {
        let mut scratch: Vec<Vec<usize>> = (0..workgroup).map(|lane| vec![lane]).collect();
        let mut live = workgroup;
        while live > 1 {
            let quarter = (live + 3) >> 2;
            for lane in 0..quarter {
                for other in (1..4).map(|j| lane + j * quarter) {
                    if other < live {
                        let more = scratch[other].clone();
                        scratch[lane].extend(more);
                    }
                }
            }
            live = quarter;
        }
        let mut lanes = scratch.swap_remove(0);
        lanes.sort_unstable();
        assert!(lanes.into_iter().eq(0..workgroup));
    }
    assert_eq!(fits(reduction(256)), 16);
}
