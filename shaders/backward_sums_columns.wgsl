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

fn column_sums(walk: Walk, k: Word, d: Word) -> Sums {
    var sums = Sums(Word(0.0), Word(0.0));
    let step = walk.row_step;
    // Sums of 64 rows stay apart from the total, which keeps the rounding of long sums small.
    for (var begin = walk.row_begin; begin < walk.row_end; begin += 64u * step) {
        var sum_dy = Word(0.0);
        var sum_dy_x = Word(0.0);
        let end = min(begin + 64u * step, walk.row_end);
        for (var row = begin; row < end; row += 2u * step) {
            let row1 = row + step;
            let i0 = row * params.row_words + walk.word;
            let i1 = select(row, row1, row1 < end) * params.row_words + walk.word;
            let x0 = load_x(i0);
            let x1 = load_x(i1);
            let dy0 = load_dy(i0);
            let dy1 = select(Word(0.0), load_dy(i1), row1 < end);
            let dy1_x = select(Word(0.0), dy1 * ((x1 - k) - d), row1 < end);
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
    let walk = walk_of(slice, lane);
    var ks: array<f32, 4>;
    var ds: array<f32, 4>;
    var rstds: array<f32, 4>;
    for (var j = 0u; j < WIDTH; j++) {
        let saved = state[saved_index(channel_of(walk.word * WIDTH + j))];
        ks[j] = saved.x;
        ds[j] = saved.y;
        rstds[j] = saved.z;
    }
    let sums = column_sums(walk, word_from(ks), word_from(ds));
    let dy = word_split(sums.dy);
    let dy_x = word_split(sums.dy_x);
    for (var j = 0u; j < WIDTH; j++) {
        merge_scratch[lane * WIDTH + j] = vec2<f32>(dy[j], dy_x[j] * rstds[j]);
    }
    merge_lanes(lane);
    for (var i = lane; i < merged_columns(); i += WORKGROUP) {
        if is_column(slice, i) {
            state[column_partial(slice, i)] = vec4<f32>(merge_scratch[i], 0.0, 0.0);
        }
    }
}
