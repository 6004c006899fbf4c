// What a lane has summed of dy and of dy * xhat for each element of a row, over the rows that it took: its
// share of the gradients of gains that each element has. Sums of 32 rows stay apart from the total, which
// keeps the rounding of long sums small. Uses rows_held.wgsl and state.wgsl.
var<private> dy_held: array<Word, HELD>;

var<private> new_dy: array<Word, HELD>;
var<private> new_dy_x: array<Word, HELD>;
var<private> all_dy: array<Word, HELD>;
var<private> all_dy_x: array<Word, HELD>;

// Adds word i of a row, given x - mean.
fn sum_gains(held: Held, i: u32, rstd: f32) {
    let is_own = is_held(held, i);
    new_dy[i] += select(Word(0.0), dy_held[i], is_own);
    new_dy_x[i] += select(Word(0.0), dy_held[i] * (x_held[i] * rstd), is_own);
}

fn keep_gains_chunk(begin: u32) {
    for (var j = 0u; j < CHUNK; j++) {
        let i = begin + j;
        all_dy[i] += new_dy[i];
        all_dy_x[i] += new_dy_x[i];
        new_dy[i] = Word(0.0);
        new_dy_x[i] = Word(0.0);
    }
}

fn keep_gains() {
    keep_gains_chunk(0u);
    if HELD > 8u {
        keep_gains_chunk(8u);
    }
    if HELD > 16u {
        keep_gains_chunk(16u);
        keep_gains_chunk(24u);
    }
}

fn leave_gains_half(share: u32, lane: u32, begin: u32) {
    for (var j = 0u; j < min(CHUNK, 4u); j++) {
        let i = begin + j;
        let word = (lane & (params.lanes - 1u)) + i * params.lanes;
        if word < params.row_words {
            let dy = word_split(all_dy[i]);
            let dy_x = word_split(all_dy_x[i]);
            for (var c = 0u; c < WIDTH; c++) {
                let element = share * params.inner + word * WIDTH + c;
                set_sums(partial_index(element), vec2<f32>(dy[c], dy_x[c]));
            }
        }
    }
}

// Leaves them as partials, [shares][inner] for so many runs of lanes in all workgroups. By fours: eight are too
// much for lavapipe to unroll, and then all loops find these arrays in memory: a backward of rows of 1,024
// takes 2.5 copies instead of 1.8. It compiles each store for a millisecond and more, some 3 s in all.
fn leave_gains(share: u32, lane: u32) {
    leave_gains_half(share, lane, 0u);
    if HELD > 4u {
        leave_gains_half(share, lane, 4u);
    }
    if HELD > 8u {
        leave_gains_half(share, lane, 8u);
        leave_gains_half(share, lane, 12u);
    }
    if HELD > 16u {
        leave_gains_half(share, lane, 16u);
        leave_gains_half(share, lane, 20u);
        leave_gains_half(share, lane, 24u);
        leave_gains_half(share, lane, 28u);
    }
}
