// First dispatch of a backward, split columns: sum dy and sum dy * xhat per channel and slice.
// Host half: src/kernels/backward_sums.rs. Lib: element_*, span_*, io_x*, io_dy*, columns, workgroup,
// state, flags, slots, merge_tree, barrier_*.
//   x, dy [rows][row_words]  read
//   state                    saved statistics read, partial sums written
// Grid: one workgroup per block of columns and slice of rows, blocks beside each other.

// Sums of dy in `dy` and of dy * (x - mean) in `dy_x`; rstd is the channel's and multiplied later.
struct Sums {
    dy: array<Word, SPAN>,
    dy_x: array<Word, SPAN>,
}

// Half the rows of a forward at once: there are two loads for each.
const PAIRS: u32 = max(ROWS / 2u, 1u);

// The sums in three levels, as in moments_columns.wgsl.
fn column_sums(walk: Walk, saved_k: array<Word, SPAN>, saved_d: array<Word, SPAN>) -> Sums {
    var k = saved_k;
    var d = saved_d;
    var sums: Sums;
    let step = walk.row_step;
    var row = walk.row_begin;
    while row < walk.row_end {
        let long_end = min(row + 512u * step, walk.row_end);
        var long: Sums;
        while row < long_end {
            let end = min(row + 16u * step, long_end);
            var part: Sums;
            for (; row < end; row += PAIRS * step) {
                for (var i = 0u; i < PAIRS * SPAN; i++) {
                    let j = i % SPAN;
                    let word = word_of(walk, row, i);
                    let x = load_x(word);
                    let dy = load_dy(word);
                    let is_own = is_new(walk, row, i);
                    part.dy[j] += select(Word(0.0), dy, is_own);
                    part.dy_x[j] += select(Word(0.0), dy * ((x - k[j]) - d[j]), is_own);
                }
            }
            for (var j = 0u; j < SPAN; j++) {
                long.dy[j] += part.dy[j];
                long.dy_x[j] += part.dy_x[j];
            }
        }
        for (var j = 0u; j < SPAN; j++) {
            sums.dy[j] += long.dy[j];
            sums.dy_x[j] += long.dy_x[j];
        }
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
    var k: array<Word, SPAN>;
    var d: array<Word, SPAN>;
    var rstd: array<Word, SPAN>;
    for (var j = 0u; j < SPAN; j++) {
        var ks: array<f32, 4>;
        var ds: array<f32, 4>;
        var rstds: array<f32, 4>;
        for (var c = 0u; c < WIDTH; c++) {
            let slot = slot_of(slice, span_word(walk, j) * WIDTH + c);
            let saved = state_at(saved_index(statistic_of(slot)));
            ks[c] = saved.x;
            ds[c] = saved.y;
            rstds[c] = saved.z;
        }
        k[j] = word_from(ks);
        d[j] = word_from(ds);
        rstd[j] = word_from(rstds);
    }
    var sums = column_sums(walk, k, d);
    for (var j = 0u; j < SPAN; j++) {
        if is_in_tile(lane, j) {
            let dy = word_split(sums.dy[j]);
            let dy_x = word_split(sums.dy_x[j] * rstd[j]);
            for (var c = 0u; c < WIDTH; c++) {
                merge_scratch[tile_element(lane, j, c)] = vec2<f32>(dy[c], dy_x[c]);
            }
        }
    }
    merge_lanes(lane);
    for (var i = lane; i < merged_columns(); i += WORKGROUP) {
        if is_column(slice, i) {
            set_state(column_partial(slice, i), vec4<f32>(merge_scratch[i], 0.0, 0.0));
        }
    }
}
