// First dispatch of a backward, split columns: sum dy and sum dy * xhat per channel and slice.
// Host half: src/kernels/backward_sums.rs. Lib: element_*, io_x*, io_dy*, columns, workgroup, state,
// merge_tree.
//   x, dy [rows][row_words]  read
//   state                    saved statistics read, partial sums written
// Grid: one workgroup per block of columns and slice of rows, blocks beside each other.

// Sums of dy in `dy` and of dy * (x - mean) in `dy_x`; rstd is the channel's and multiplied later.
struct Sums {
    dy: Word,
    dy_x: Word,
}

fn column_sums(word: u32, row_begin: u32, row_end: u32, k: Word, d: Word) -> Sums {
    var sums = Sums(Word(0.0), Word(0.0));
    let last = row_end - 1u;
    // Sums of 32 rows stay apart from the total, which keeps the rounding of long sums small.
    for (var begin = row_begin; begin < row_end; begin += 32u) {
        var sum_dy = Word(0.0);
        var sum_dy_x = Word(0.0);
        let end = min(begin + 32u, row_end);
        for (var row = begin; row < end; row += 2u) {
            let i0 = row * params.row_words + word;
            let i1 = min(row + 1u, last) * params.row_words + word;
            let x0 = load_x(i0);
            let x1 = load_x(i1);
            let dy0 = load_dy(i0);
            let dy1 = select(Word(0.0), load_dy(i1), row + 1u < end);
            let dy1_x = select(Word(0.0), dy1 * ((x1 - k) - d), row + 1u < end);
            sum_dy += dy0 + dy1;
            sum_dy_x += dy0 * ((x0 - k) - d) + dy1_x;
        }
        sums.dy += sum_dy;
        sums.dy_x += sum_dy_x;
    }
    return sums;
}

@compute @workgroup_size(WORKGROUP)
fn backward_sums_columns(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let slice = slice_of(group);
    let word = word_of(slice, lane);
    var ks: vec4<f32>;
    var ds: vec4<f32>;
    var rstds: vec4<f32>;
    for (var j = 0u; j < WIDTH; j++) {
        let saved = state[saved_index(channel_of(word * WIDTH + j))];
        ks[j] = saved.x;
        ds[j] = saved.y;
        rstds[j] = saved.z;
    }
    let sums = column_sums(
        word,
        slice.row_begin,
        lane_row_end(slice, word),
        word_from(ks),
        word_from(ds),
    );
    let dy = word_split(sums.dy);
    let dy_x = word_split(sums.dy_x);
    for (var j = 0u; j < WIDTH; j++) {
        merge_scratch[lane * WIDTH + j] = vec2<f32>(dy[j], dy_x[j] * rstds[j]);
    }
    merge_copies(lane);
    for (var i = lane; i < merged_columns(); i += WORKGROUP) {
        if slice.first_column + i < row_columns() {
            state[column_partial(slice, i)] = vec4<f32>(merge_scratch[i], 0.0, 0.0);
        }
    }
}
