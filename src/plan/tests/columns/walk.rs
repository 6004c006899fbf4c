//! Every lane of every workgroup of split columns, loop by loop.

use super::super::super::{Columns, Plan};
use super::super::sample_at;
use super::{CHUNK, Model, PARTIALS_CHUNK, Slice, Walk};

/// How many values went into a sum, and of what: a column of the row, or a channel.
type Sum = (u32, u32);

/// Walks through every lane of every group of both dispatches, forward and backward, and returns the
/// iterations of the longest walk.
pub(in super::super) fn walk(plan: &Plan, columns: &Columns) -> u64 {
    let model = Model { plan, columns };
    let mut longest = 0;
    // Forward kernels take four rows at once, backward ones two.
    for unroll in [4, 2] {
        let (state, first) = first_dispatch(model, unroll);
        longest = longest.max(first);
        longest = longest.max(second_dispatch(model, unroll, &state));
    }
    longest
}

/// Marks every word that a lane takes on its way down; `chunk` is how many of its rows it adds up
/// before it flushes. Returns its rows and iterations.
fn walk_down(
    model: Model,
    walk: &Walk,
    unroll: u32,
    chunk: Option<u32>,
    taken: &mut [bool],
) -> (u32, u64) {
    let step = model.columns.row_lanes;
    let (mut n, mut iterations) = (0, 0);
    let mut begin = walk.row_begin;
    while begin < walk.row_end {
        let end = chunk.map_or(walk.row_end, |rows| (begin + rows * step).min(walk.row_end));
        iterations += u64::from(chunk.is_some());
        let mut row = begin;
        while row < end {
            iterations += 1;
            for row in (0..unroll).map(|j| row + j * step).filter(|&row| row < end) {
                let i = (row * model.columns.row_words + walk.word) as usize;
                assert!(!std::mem::replace(&mut taken[i], true));
                n += 1;
            }
            row += unroll * step;
        }
        begin = chunk.map_or(walk.row_end, |rows| begin + rows * step);
    }
    (n, iterations)
}

/// Adds sums of one column or channel; `None` is what no lane wrote, and nobody may add.
fn add(a: Option<Sum>, b: Option<Sum>) -> Sum {
    let ((what, n), (other, more)) = (a.expect("a sum"), b.expect("a sum"));
    assert_eq!(what, other, "columns are mixed up");
    (what, n + more)
}

/// `merge_tree`, and the iterations of its longest lane.
fn merge_tree(model: Model, scratch: &mut [Option<Sum>], ways: u32) -> u64 {
    let columns = model.merged_columns();
    let (mut live, mut iterations) = (ways, 0);
    while live > 1 {
        let half = live.div_ceil(2);
        let entries = (live - half) * columns;
        iterations += 1 + model.per_lane(entries);
        for i in 0..entries as usize {
            scratch[i] = Some(add(scratch[i], scratch[i + (half * columns) as usize]));
        }
        live = half;
    }
    iterations
}

/// The entries from `lane` by the workgroup, which one lane takes in turn.
fn strided(model: Model, lane: u32, entries: u32) -> Vec<u32> {
    (lane..entries)
        .step_by(model.plan.workgroup as usize)
        .collect()
}

/// The first dispatch. Returns the partials that it leaves, as channel and number of values.
fn first_dispatch(model: Model, unroll: u32) -> (Vec<Option<Sum>>, u64) {
    let Model { plan, columns } = model;
    let width = model.width();
    let merged = model.merged_columns();
    let mut longest = 0;
    let mut taken = vec![false; (columns.rows * columns.row_words) as usize];
    let mut state: Vec<Option<Sum>> = vec![None; plan.state_len() / 4 - 1 - plan.count as usize];
    for group in 0..plan.groups {
        let slice = model.slice_of(group);
        let mut scratch: Vec<Option<Sum>> = vec![None; model.tile() as usize];
        let mut lanes = 0;
        for lane in 0..plan.workgroup {
            let walk = model.walk_of(&slice, lane);
            let (n, down) = walk_down(model, &walk, unroll, Some(CHUNK), &mut taken);
            // Idle lanes leave a zero, which the others may add.
            for j in 0..width {
                let column = slice.first_column + model.merged_column(lane, j);
                assert_eq!(
                    model.channel_of(column),
                    model.channel_of(walk.word * width + j)
                );
                assert!(model.merged_column(lane, j) < merged);
                scratch[(lane * width + j) as usize] = Some((column, n));
            }
            lanes = lanes.max(down + 2 * u64::from(width));
        }
        let tree = merge_tree(model, &mut scratch, model.merged_lanes());
        for i in 0..merged {
            let (column, n) = scratch[i as usize].expect("a sum");
            assert_eq!(column, slice.first_column + i);
            check_column(model, &slice, i, n);
            if model.is_column(&slice, i) {
                let partial = model.column_partial(&slice, i) as usize;
                let sum = (model.channel_of(column), n);
                assert_eq!(state[partial].replace(sum), None);
            }
        }
        // Forward, a lane also takes the ten samples of each of its pivots.
        let pivots = if unroll == 4 { 11 } else { 0 };
        longest = longest.max(lanes + tree + model.per_lane(merged) * (pivots + 1));
    }
    assert!(taken.into_iter().all(|taken| taken));
    assert!(state.iter().all(Option::is_some));
    (state, longest)
}

/// `column_of` finds the elements that went into the sum of a merged column, and the samples of its
/// pivot are among them.
fn check_column(model: Model, slice: &Slice, i: u32, sum: u32) {
    if !model.is_column(slice, i) {
        return assert_eq!(sum, 0);
    }
    let column = model.column_of(slice, i);
    assert_eq!(column.n, sum);
    assert!(sum > 0, "a partial of nothing has no pivot");
    let channel = model.channel_of(slice.first_column + i);
    let row_columns = model.row_columns();
    let block = slice.first_column..slice.first_column + model.block_columns();
    let belongs = |element: u32| {
        let row = element / row_columns;
        element % model.plan.count == channel
            && (slice.row_begin..slice.row_end).contains(&row)
            && block.contains(&(element % row_columns))
    };
    assert!((0..column.n).all(|e| belongs(column.first + e * column.step)));
    let mut last = None;
    for sample in (0..10).map(|i| sample_at(i, column.n, 0)) {
        assert!(sample < column.n && last <= Some(sample));
        last = Some(sample);
    }
}

/// The second dispatch: every workgroup finds all values of each of its channels, and then walks.
fn second_dispatch(model: Model, unroll: u32, state: &[Option<Sum>]) -> u64 {
    let Model { plan, columns } = model;
    let mut longest = 0;
    let mut finished = vec![false; plan.count as usize];
    let mut taken = vec![false; (columns.rows * columns.row_words) as usize];
    for group in 0..plan.groups {
        let slice = model.slice_of(plan.groups - 1 - group);
        let merging = merge_partials(model, &slice, unroll, state);
        if slice.index == 0 {
            for channel in (0..model.merged_columns()).map(|i| slice.first_column + i) {
                if channel < plan.count {
                    assert!(!std::mem::replace(&mut finished[channel as usize], true));
                }
            }
        }
        let finishing = model.per_lane(model.merged_columns());
        for lane in 0..plan.workgroup {
            let walk = model.walk_of(&slice, lane);
            let (_, down) = walk_down(model, &walk, unroll, None, &mut taken);
            longest = longest.max(merging + finishing + u64::from(model.width()) + down);
        }
    }
    assert!(taken.into_iter().all(|taken| taken));
    assert!(finished.into_iter().all(|finished| finished));
    longest
}

/// What one workgroup of the second dispatch merges: forward in two phases, backward in one. Returns
/// the iterations of the longest lane.
fn merge_partials(model: Model, slice: &Slice, unroll: u32, state: &[Option<Sum>]) -> u64 {
    let columns = model.merged_columns();
    let ways = model.merge_ways();
    let mut scratch: Vec<Option<Sum>> = vec![None; model.tile() as usize];
    let mut longest = 0;
    for lane in 0..model.plan.workgroup {
        let mut iterations = 0;
        let entries = strided(model, lane, ways * columns);
        for &i in &entries {
            let channel = model.channel_of(slice.first_column + i % columns);
            let (n, shares) = share_of_moments(model, channel, i / columns, state);
            assert_eq!(scratch[i as usize].replace((channel, n)), None);
            iterations += 1 + shares;
        }
        // The second phase goes by component instead, and must meet the same entries.
        let components = (0..model.width()).map(|j| lane + j * model.plan.workgroup);
        let again: Vec<u32> = components.filter(|&i| i < ways * columns).collect();
        assert_eq!(again, entries);
        longest = longest.max(iterations);
    }
    longest += merge_tree(model, &mut scratch, ways);
    for i in 0..columns {
        let channel = model.channel_of(slice.first_column + i);
        // The samples of the channel's pivot are partials of its own.
        for sample in (0..10).map(|i| i * model.columns.partials / 10) {
            let partial = state[model.slot_partial(channel, sample) as usize];
            assert_eq!(partial.map(|(channel, _)| channel), Some(channel));
        }
        assert_eq!(
            scratch[i as usize],
            Some((channel, model.plan.slot_len)),
            "values are lost"
        );
    }
    match unroll {
        4 => 2 * (longest + u64::from(model.width())) + 11 * model.per_lane(columns),
        _ => longest,
    }
}

/// `share_of_moments`: the values in a lane's share of a channel's partials, and its iterations.
fn share_of_moments(model: Model, channel: u32, first: u32, state: &[Option<Sum>]) -> (u32, u64) {
    let partials = model.columns.partials;
    let ways = model.merge_ways();
    let mut total = (channel, 0);
    let mut iterations = 0;
    let mut begin = first;
    while begin < partials {
        iterations += 1;
        let end = (begin + PARTIALS_CHUNK * ways).min(partials);
        let mut terms = 0;
        for p in (begin..end).step_by(ways as usize) {
            iterations += 1;
            terms += 1;
            let partial = state[model.slot_partial(channel, p) as usize];
            total = add(Some(total), partial);
        }
        assert!(terms <= PARTIALS_CHUNK);
        begin += PARTIALS_CHUNK * ways;
    }
    (total.1, iterations)
}
