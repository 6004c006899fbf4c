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
    let rows = slice.row_end - slice.row_begin;
    let words = slice.word_end - slice.word_begin;
    var samples: array<f32, 10>;
    for (var i = 0u; i < 10u; i++) {
        // Words come in another order than rows, lest a diagonal pattern fool them; where there is
        // one row they come in order, so that the halves of the slice have a median each.
        let j = select((i * 7u) % 10u, i, rows == 1u);
        let row = slice.row_begin + sample_at(i, rows, 0u);
        let word = slice.word_begin + sample_at(j, words, 1u << 30u);
        samples[i] = word_first(load_x(row_base(slice.slot, row) + word));
    }
    return pivot_of(samples);
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

    var s = Word(0.0);
    var q = Word(0.0);
    for (var row = walk.first_row; row < slice.row_end; row += walk.row_step) {
        let base = row_base(slice.slot, row);
        // Sums of at most 128 words of a row stay apart from the total, which keeps the rounding of
        // long sums small.
        for (var begin = walk.first_word; begin < slice.word_end; begin += 128u * walk.lanes) {
            let end = min(begin + 128u * walk.lanes, slice.word_end);
            var part_s = Word(0.0);
            var part_q = Word(0.0);
            for (var i = begin; i < end; i += 4u * walk.lanes) {
                let i1 = i + walk.lanes;
                let i2 = i1 + walk.lanes;
                let i3 = i2 + walk.lanes;
                let x0 = load_x(base + i);
                let x1 = load_x(base + within(i1, i, slice));
                let x2 = load_x(base + within(i2, i, slice));
                let x3 = load_x(base + within(i3, i, slice));
                let d0 = x0 - k;
                let d1 = select(Word(0.0), x1 - k, i1 < slice.word_end);
                let d2 = select(Word(0.0), x2 - k, i2 < slice.word_end);
                let d3 = select(Word(0.0), x3 - k, i3 < slice.word_end);
                part_s += (d0 + d1) + (d2 + d3);
                part_q += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);
            }
            s += part_s;
            q += part_q;
        }
    }
    let sums = workgroup_sum(vec2<f32>(word_sum(s), word_sum(q)), lane);
    if lane != 0u {
        return;
    }
    let rows = slice.row_end - slice.row_begin;
    let words = slice.word_end - slice.word_begin;
    let n = f32(rows * words * WIDTH);
    state[slot_partial(slice.slot, slice.index)] = vec4<f32>(n, k, sums.x, sums.y);
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
