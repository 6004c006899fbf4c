// First dispatch of a training forward, split columns: one moment per channel and slice.
// Host half: src/kernels/moments.rs. Lib: element_*, io_x*, columns, workgroup, state, flags,
// running, moments, statistics, merge_tree.
//   x [rows][row_words]        read
//   state                      partial moments written; header and saved statistics, see below
//   running_mean, running_var  [count] read where the step normalizes by them
//   tracked [1]                num_batches_tracked, counted up here
// Grid: one workgroup per block of columns and slice of rows, blocks beside each other.
@group(0) @binding(9) var<storage, read_write> tracked: array<u32>;

// One pivot for every merged column, so that the sums of its copies add up without a merge.
var<workgroup> pivots: array<f32, TILE>;

fn column_pivot(column: Column) -> f32 {
    var samples: array<f32, 10>;
    for (var i = 0u; i < 10u; i++) {
        let element = column.first + sample_at(i, column.n, 0u) * column.step;
        samples[i] = word_split(load_x(element / WIDTH))[element % WIDTH];
    }
    return pivot_of(samples);
}

// The sums of this lane's columns, component by component.
struct Sums {
    s: Word,
    q: Word,
}

fn column_sums(walk: Walk, k: Word) -> Sums {
    var sums = Sums(Word(0.0), Word(0.0));
    let step = walk.row_step;
    // Sums of 64 rows stay apart from the total, which keeps the rounding of long sums small.
    for (var begin = walk.row_begin; begin < walk.row_end; begin += 64u * step) {
        var s = Word(0.0);
        var q = Word(0.0);
        let end = min(begin + 64u * step, walk.row_end);
        for (var row = begin; row < end; row += 4u * step) {
            let row1 = row + step;
            let row2 = row1 + step;
            let row3 = row2 + step;
            let x0 = load_x(row * params.row_words + walk.word);
            let x1 = load_x(select(row, row1, row1 < end) * params.row_words + walk.word);
            let x2 = load_x(select(row, row2, row2 < end) * params.row_words + walk.word);
            let x3 = load_x(select(row, row3, row3 < end) * params.row_words + walk.word);
            let d0 = x0 - k;
            let d1 = select(Word(0.0), x1 - k, row1 < end);
            let d2 = select(Word(0.0), x2 - k, row2 < end);
            let d3 = select(Word(0.0), x3 - k, row3 < end);
            s += (d0 + d1) + (d2 + d3);
            q += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);
        }
        sums.s += s;
        sums.q += q;
    }
    return sums;
}

@compute @workgroup_size(WORKGROUP)
fn moments_columns(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let slice = slice_of(group);
    for (var i = lane; i < merged_columns(); i += WORKGROUP) {
        pivots[i] = 0.0;
        if is_column(slice, i) {
            pivots[i] = column_pivot(column_of(slice, i));
        }
    }
    workgroupBarrier();
    var ks: array<f32, 4>;
    for (var j = 0u; j < WIDTH; j++) {
        ks[j] = pivots[merged_column(lane, j)];
    }
    let sums = column_sums(walk_of(slice, lane), word_from(ks));
    let s = word_split(sums.s);
    let q = word_split(sums.q);
    for (var j = 0u; j < WIDTH; j++) {
        merge_scratch[lane * WIDTH + j] = vec2<f32>(s[j], q[j]);
    }
    merge_lanes(lane);
    for (var i = lane; i < merged_columns(); i += WORKGROUP) {
        if is_column(slice, i) {
            let n = f32(column_of(slice, i).n);
            state[column_partial(slice, i)] = vec4<f32>(n, pivots[i], merge_scratch[i]);
        }
        // The next dispatch moves the running values while its other workgroups need the old ones.
        let channel = slice.first_column + i;
        if slice.index == 0u && channel < params.count && has(USE_RUNNING) {
            state[saved_index(channel)] = running_statistics(channel);
        }
    }
    if group == 0u && lane == 0u && has(HAS_TRACKED) {
        let count = tracked[0] + 1u;
        tracked[0] = count;
        state[0].x = f32(count);
    }
}
