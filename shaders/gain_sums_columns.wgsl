// First of two dispatches for the gradients of gains that each element of a row has its own of: sums
// down the columns of dy and of dy * xhat, where xhat is by the statistics of its row.
// Host half: src/kernels/gain_sums.rs. Lib: element_*, span_*, io_x*, io_dy*, columns, workgroup,
// state, flags, slots, gains_*, offsets_*, corrections, centred, word_where, gates_*, merge_tree, barrier_*.
//   x, dy [rows][row_words]  read
//   gamma, beta [row]        read where gates are computed from x
//   state                    saved statistics of the rows read, partial sums written
// Grid: one workgroup per block of columns and slice of rows, blocks beside each other. A row of words is
// one row of statistics, which its lanes read together.

// Sums of dy in `dy` and of dy * xhat in `dy_x`.
struct Sums {
    dy: array<Word, SPAN>,
    dy_x: array<Word, SPAN>,
}

// Half the rows of a forward at once: there are two loads for each.
const PAIRS: u32 = max(ROWS / 2u, 1u);

// The gains and offsets of the lane's columns, where gates are computed from x.
struct Affine {
    gain: array<Word, SPAN>,
    offset: array<Word, SPAN>,
}

fn affine_of(slice: Slice, walk: Walk) -> Affine {
    var affine: Affine;
    for (var j = 0u; j < SPAN; j++) {
        var gains = array<f32, 4>();
        var offsets = array<f32, 4>();
        for (var c = 0u; c < WIDTH; c++) {
            let slot = slot_of(slice, span_word(walk, j) * WIDTH + c);
            let of_xhat = gate_affine(slot, vec4<f32>(0.0, 0.0, 1.0, 0.0));
            gains[c] = of_xhat.x;
            offsets[c] = of_xhat.y;
        }
        affine.gain[j] = word_from(gains);
        affine.offset[j] = word_from(offsets);
    }
    return affine;
}

// Adds four of the words that a lane reads at once: software drivers unroll no longer loops.
fn add_words(
    walk: Walk,
    row: u32,
    four: u32,
    first_saved: u32,
    affine: ptr<function, Affine>,
    part: ptr<function, Sums>,
) {
    let begin = min(4u * four, PAIRS * SPAN);
    let end = min(begin + 4u, PAIRS * SPAN);
    for (var i = begin; i < end; i++) {
        let j = i % SPAN;
        let saved = state_at(first_saved + row_of(walk, row, i));
        let word = word_of(walk, row, i);
        let x = load_x(word);
        let is_own = is_new(walk, row, i);
        let xhat = less(x - saved.x, Word(saved.y)) * saved.z;
        let dy = gated(load_dy(word), xhat, (*affine).gain[j], (*affine).offset[j], 0u, 0u);
        (*part).dy[j] += select(Word(0.0), dy, is_own);
        (*part).dy_x[j] += select(Word(0.0), dy * xhat, is_own);
    }
}

// The sums in three levels, as in moments_columns.wgsl.
fn column_sums(walk: Walk, of_columns: Affine) -> Sums {
    var affine = of_columns;
    var sums: Sums;
    let first_saved = saved_index(params.first_row);
    let step = walk.row_step;
    let most = long_rows(walk, 16u);
    var row = walk.row_begin;
    while row < walk.row_end {
        let long_end = min(row + most * step, walk.row_end);
        var long = Sums();
        while row < long_end {
            let end = min(row + 16u * step, long_end);
            var part = Sums();
            for (; row < end; row += PAIRS * step) {
                add_words(walk, row, 0u, first_saved, &affine, &part);
                add_words(walk, row, 1u, first_saved, &affine, &part);
                add_words(walk, row, 2u, first_saved, &affine, &part);
                add_words(walk, row, 3u, first_saved, &affine, &part);
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
fn gain_sums_columns(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let slice = slice_of(group);
    let walk = walk_of(slice, lane);
    var sums = column_sums(walk, affine_of(slice, walk));
    for (var j = 0u; j < SPAN; j++) {
        leave_word(walk, j, sums.dy[j], sums.dy_x[j]);
    }
    merge_lanes(lane);
    for (var i = lane; i < merged_columns(); i += WORKGROUP) {
        if is_column(slice, i) {
            set_sums(column_partial(slice, i), merge_scratch[i]);
        }
    }
}
