// First dispatch of a training forward, split columns: one moment per channel and slice.
// Host half: src/kernels/moments.rs. Lib: element_*, io_x*, columns, workgroup, state, flags,
// running, moments, statistics, merge_moments.
//   x [rows][row_words]        read
//   state                      partial moments written; header and saved statistics, see below
//   running_mean, running_var  [count] read where the step normalizes by them
//   tracked [1]                num_batches_tracked, counted up here
// Grid: one workgroup per block of columns and slice of rows, blocks beside each other.
// Every column has a pivot of its own, so copies of a channel are merged, not added.
@group(0) @binding(9) var<storage, read_write> tracked: array<u32>;

fn column_pivot(word: u32, row_begin: u32, row_end: u32) -> Word {
    let rows = row_end - row_begin - 1u;
    var samples: array<Word, 9>;
    for (var i = 0u; i < 9u; i++) {
        samples[i] = load_x((row_begin + ((i * rows) >> 3u)) * params.row_words + word);
    }
    return pivot_of(samples);
}

// The moments of this lane's columns, component by component.
struct Columns {
    n: f32,
    k: Word,
    s: Word,
    q: Word,
}

fn column_sums(word: u32, row_begin: u32, row_end: u32) -> Columns {
    var sums = Columns(f32(row_end - row_begin), Word(0.0), Word(0.0), Word(0.0));
    if row_begin >= row_end {
        return sums;
    }
    let k = column_pivot(word, row_begin, row_end);
    let last = row_end - 1u;
    // Sums of 256 rows stay apart from the total, which keeps the rounding of long sums small.
    for (var begin = row_begin; begin < row_end; begin += 256u) {
        var s = Word(0.0);
        var q = Word(0.0);
        let end = min(begin + 256u, row_end);
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
    sums.k = k;
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
    let sums = column_sums(word, slice.row_begin, lane_row_end(slice, word));
    let k = word_split(sums.k);
    let s = word_split(sums.s);
    let q = word_split(sums.q);
    for (var j = 0u; j < WIDTH; j++) {
        merge_scratch[lane * WIDTH + j] = moment_of(sums.n, k[j], s[j], q[j]);
    }
    let merges = params.blocks == 1u;
    merge_tree(select(1u, params.copies, merges), params.count, lane);

    let row_columns = params.row_words * WIDTH;
    let columns = select(row_columns - slice.first_column, params.count, merges);
    let first = slice.index * select(row_columns, params.count, merges) + slice.first_column;
    for (var i = lane; i < min(columns, TILE); i += WORKGROUP) {
        state[partial_index(first + i)] = merge_scratch[i];
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
