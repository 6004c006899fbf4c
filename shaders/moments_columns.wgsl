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
        let element = column.first + (i * column.n / 10u) * column.step;
        samples[i] = word_split(load_x(element / WIDTH))[element % WIDTH];
    }
    return pivot_of(samples);
}

// The sums of this lane's columns, component by component.
struct Sums {
    s: Word,
    q: Word,
}

fn column_sums(word: u32, row_begin: u32, row_end: u32, k: Word) -> Sums {
    var sums = Sums(Word(0.0), Word(0.0));
    let last = row_end - 1u;
    // Sums of 32 rows stay apart from the total, which keeps the rounding of long sums small: it
    // halves the error of dbeta and the variance over 300 rows.
    for (var begin = row_begin; begin < row_end; begin += 32u) {
        var s = Word(0.0);
        var q = Word(0.0);
        let end = min(begin + 32u, row_end);
        for (var row = begin; row < end; row += 4u) {
            let x0 = load_x(row * params.row_words + word);
            let x1 = load_x(min(row + 1u, last) * params.row_words + word);
            let x2 = load_x(min(row + 2u, last) * params.row_words + word);
            let x3 = load_x(min(row + 3u, last) * params.row_words + word);
            let d0 = x0 - k;
            let d1 = select(Word(0.0), x1 - k, row + 1u < end);
            let d2 = select(Word(0.0), x2 - k, row + 2u < end);
            let d3 = select(Word(0.0), x3 - k, row + 3u < end);
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
    let word = word_of(slice, lane);
    for (var i = lane; i < merged_columns(); i += WORKGROUP) {
        let column = column_of(slice, i);
        pivots[i] = 0.0;
        if column.n > 0u {
            pivots[i] = column_pivot(column);
        }
    }
    workgroupBarrier();
    var ks: vec4<f32>;
    for (var j = 0u; j < WIDTH; j++) {
        ks[j] = pivots[merged_column(word, lane, j)];
    }
    let row_end = lane_row_end(slice, word);
    let sums = column_sums(word, slice.row_begin, row_end, word_from(ks));
    let s = word_split(sums.s);
    let q = word_split(sums.q);
    for (var j = 0u; j < WIDTH; j++) {
        merge_scratch[lane * WIDTH + j] = vec2<f32>(s[j], q[j]);
    }
    merge_copies(lane);
    for (var i = lane; i < merged_columns(); i += WORKGROUP) {
        if slice.first_column + i < row_columns() {
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
