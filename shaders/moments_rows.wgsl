// First dispatch of a training forward, split rows: one moment per slice.
// Host half: src/kernels/moments.rs. Lib: element_*, io_x*, rows, workgroup, state, flags, running,
// moments, statistics, reduce_*.
//   x [outer][count][inner]    read
//   state                      partial moments written; header and saved statistics, see below
//   running_mean, running_var  [count] read where the step normalizes by them
//   tracked [1]                num_batches_tracked, counted up here
// Grid: one workgroup per slice, slices of a slot beside each other.
// The lanes of a slice share one pivot, so their plain sums add up without a merge.
@group(0) @binding(9) var<storage, read_write> tracked: array<u32>;

fn slice_pivot(slice: Slice) -> f32 {
    let rows = slice.row_end - slice.row_begin - 1u;
    let words = slice.word_end - slice.word_begin - 1u;
    var samples: array<Word, 9>;
    for (var i = 0u; i < 9u; i++) {
        // The columns come in another order than the rows, lest a diagonal pattern fool them.
        let row = slice.row_begin + ((i * rows) >> 3u);
        let word = slice.word_begin + ((((i * 4u) % 9u) * words) >> 3u);
        samples[i] = load_x(row_base(slice.slot, row) + word);
    }
    return word_first(pivot_of(samples));
}

@compute @workgroup_size(WORKGROUP)
fn moments_rows(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let slice = slice_of(group);
    let walk = walk_of(lane, slice);
    let k = slice_pivot(slice);
    let last = slice.word_end - 1u;

    var s = Word(0.0);
    var q = Word(0.0);
    for (var row = walk.first_row; row < slice.row_end; row += walk.row_step) {
        let base = row_base(slice.slot, row);
        // A row's sums stay apart from the total, which keeps the rounding of long sums small.
        var row_s = Word(0.0);
        var row_q = Word(0.0);
        for (var i = walk.first_word; i < slice.word_end; i += 4u * walk.lanes) {
            let i1 = i + walk.lanes;
            let i2 = i1 + walk.lanes;
            let i3 = i2 + walk.lanes;
            let x0 = load_x(base + i);
            let x1 = load_x(base + min(i1, last));
            let x2 = load_x(base + min(i2, last));
            let x3 = load_x(base + min(i3, last));
            let d0 = x0 - k;
            let d1 = select(Word(0.0), x1 - k, i1 < slice.word_end);
            let d2 = select(Word(0.0), x2 - k, i2 < slice.word_end);
            let d3 = select(Word(0.0), x3 - k, i3 < slice.word_end);
            row_s += (d0 + d1) + (d2 + d3);
            row_q += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);
        }
        s += row_s;
        q += row_q;
    }
    let sums = workgroup_sum(vec2<f32>(word_sum(s), word_sum(q)), lane);
    if lane != 0u {
        return;
    }
    let rows = slice.row_end - slice.row_begin;
    let words = slice.word_end - slice.word_begin;
    let n = f32(rows * words * WIDTH);
    state[slot_partial(slice.slot, slice.index)] = moment_of(n, k, sums.x, sums.y);
    if slice.index == 0u && has(USE_RUNNING) {
        // The next dispatch moves the running values while its other workgroups need the old ones.
        state[saved_index(slice.slot)] = running_statistics(slice.slot);
    }
    if group == 0u && has(HAS_TRACKED) {
        let count = tracked[0] + 1u;
        tracked[0] = count;
        state[0].x = f32(count);
    }
}
