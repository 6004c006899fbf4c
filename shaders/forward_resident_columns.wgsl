// A whole training forward in one dispatch, for columns that fit a workgroup's registers: x is read
// once. y = act(((x - K) - d) * rstd * gamma + beta + residual).
// Host half: src/kernels/forward_resident.rs. Lib: element_*, held_*, span_1, io_x*, io_y, io_residual*,
// columns, columns_held, held, held_pivot, workgroup, state, flags, slots, gains_slot, offsets_slot, running,
// corrections, centred, moments, statistics, gates_index, tail, tracked*, merge_tree, barrier_*.
//   x, y [rows][row_words]      read and written
//   residual [rows][row_words]  read where there is one
//   state                       saved statistics and gates written
//   gamma, beta [gains]         read where there are any
//   running_mean, running_var   [count] read or moved
//   tracked [1]                 num_batches_tracked, counted up here where no residual is bound
// Grid: one workgroup per block of columns, which owns all rows of it.
var<workgroup> pivots: array<f32, TILE>;

// Sums of x from a pivot and of their squares, of the words of a lane.
struct Sums {
    s: Word,
    q: Word,
}

fn added(a: Sums, b: Sums) -> Sums {
    return Sums(a.s + b.s, a.q + b.q);
}

// The pivots of the columns of a word.
fn word_pivots(slice: Slice, walk: Walk) -> Word {
    var ks: array<f32, 4>;
    for (var c = 0u; c < WIDTH; c++) {
        ks[c] = pivots[merged_column(slice, walk.word, c)];
    }
    return word_from(ks);
}

// Leaves what a lane has added up for those who share its columns, and adds up.
fn merge_words(walk: Walk, sums: Sums, lane: u32) {
    leave_word(walk, 0u, sums.s, sums.q);
    merge_lanes(lane);
}

fn load_first_chunk(walk: Walk) {
    for (var i = 0u; i < CHUNK; i++) {
        x_held[i] = load_x(held_word(walk, i));
    }
}

// One pivot for each merged column, from what the first chunk holds of it.
fn find_pivots(slice: Slice, walk: Walk, lane: u32) {
    for (var i = lane; i < merged_columns(); i += WORKGROUP) {
        pivots[i] = 0.0;
        if is_column(slice, i) && !has(NO_MEAN) {
            let first = column_of(slice, i).first;
            pivots[i] = word_split(load_x(first / WIDTH))[first % WIDTH];
        }
    }
    sync();
    if has(NO_MEAN) {
        return;
    }
    let base = word_pivots(slice, walk);
    var s = Word(0.0);
    var far = Word(0.0);
    for (var i = 0u; i < CHUNK; i++) {
        let d = select(Word(0.0), x_held[i] - base, is_held(walk, i));
        s += d;
        far += abs(d);
    }
    merge_words(walk, Sums(s, far), lane);
    for (var i = lane; i < merged_columns(); i += WORKGROUP) {
        pivots[i] = held_pivot(pivots[i], merge_scratch[i], f32(CHUNK * merged_lanes()));
    }
    sync();
}

// Takes the pivots from the first chunk; gives its sums.
fn centre_first_chunk(walk: Walk, k: Word) -> Sums {
    var sum: Sums;
    for (var i = 0u; i < CHUNK; i++) {
        x_held[i] -= k;
        let d = select(Word(0.0), x_held[i], is_held(walk, i));
        sum.s += d;
        sum.q += d * d;
    }
    return sum;
}

// Loads one of the others and takes the pivots from it.
fn load_chunk(walk: Walk, k: Word, begin: u32) -> Sums {
    var sum: Sums;
    for (var j = 0u; j < CHUNK; j++) {
        let i = begin + j;
        x_held[i] = load_x(held_word(walk, i)) - k;
        let d = select(Word(0.0), x_held[i], is_held(walk, i));
        sum.s += d;
        sum.q += d * d;
    }
    return sum;
}

fn load_two(walk: Walk, k: Word, begin: u32) -> Sums {
    return added(load_chunk(walk, k, begin), load_chunk(walk, k, begin + 8u));
}

// Loads the rest of x and takes the pivots from all of it.
fn load_rest(walk: Walk, k: Word) -> Sums {
    var sum = centre_first_chunk(walk, k);
    if HELD > 8u {
        sum = added(sum, load_chunk(walk, k, 8u));
    }
    if HELD > 16u {
        sum = added(sum, load_two(walk, k, 16u));
    }
    if HELD > 32u {
        sum = added(sum, added(load_two(walk, k, 32u), load_two(walk, k, 48u)));
    }
    return sum;
}

// What is done to the elements of each merged column goes to where its sums and pivot were: (d from the
// pivot, scale), and the shift. The block's channels are saved and moved.
fn finish_columns(slice: Slice, lane: u32) {
    for (var i = lane; i < merged_columns(); i += WORKGROUP) {
        if slice.first_column + i < params.count {
            let slot = slot_of(slice, slice.first_column + i);
            let k = pivots[i];
            let moment = finished(vec4<f32>(params.n, k, merge_scratch[i]));
            keep_running(slot);
            var statistics = statistics_of(moment);
            if has(USE_RUNNING) {
                statistics = running_statistics(slot);
            }
            set_state(saved_index(slot), statistics);
            let rd = saved_corrections(slot, statistics);
            if has(UPDATE_RUNNING) {
                update_running(slot, moment);
            }
            let d = select(statistics.y, statistics.x, has(USE_RUNNING));
            merge_scratch[i] = vec2<f32>(d, statistics.z * rd.x * gain(slot));
            pivots[i] = rd.y * gain(slot) + offset(slot);
        }
    }
    sync();
}

// What becomes of x from the pivot; of x itself where the running statistics normalize, since a pivot among
// outliers may lie far from their mean. Then that is d.
struct Affine {
    d: Word,
    scale: Word,
    shift: Word,
}

fn word_affine(slice: Slice, walk: Walk) -> Affine {
    var ds: array<f32, 4>;
    var scales: array<f32, 4>;
    for (var c = 0u; c < WIDTH; c++) {
        let column = merged_column(slice, walk.word, c);
        ds[c] = merge_scratch[column].x;
        scales[c] = merge_scratch[column].y;
    }
    return Affine(word_from(ds), word_from(scales), word_pivots(slice, walk));
}

// Writes y of a chunk of words, which keeps its bits of what passed in a word of their own.
fn write_chunk(walk: Walk, a: Affine, gate: u32, begin: u32) {
    var gates = 0u;
    for (var j = 0u; j < CHUNK; j++) {
        let i = begin + j;
        let word = held_word(walk, i);
        var centred = less(x_held[i], a.d);
        if has(USE_RUNNING) {
            centred = load_x(word) - a.d;
        }
        let y = tailed(centred * a.scale + a.shift, load_residual(word));
        if is_held(walk, i) {
            store_y(word, y);
        }
        if has(GATED) {
            gates |= gate_of(y) << (j * WIDTH);
        }
    }
    if has(GATED) {
        state[gate + begin / CHUNK * WORKGROUP] = gates;
    }
}

fn write_two(walk: Walk, a: Affine, gate: u32, begin: u32) {
    write_chunk(walk, a, gate, begin);
    write_chunk(walk, a, gate, begin + 8u);
}

fn write_held(walk: Walk, a: Affine, gate: u32) {
    write_chunk(walk, a, gate, 0u);
    if HELD > 8u {
        write_chunk(walk, a, gate, 8u);
    }
    if HELD > 16u {
        write_two(walk, a, gate, 16u);
    }
    if HELD > 32u {
        write_two(walk, a, gate, 32u);
        write_two(walk, a, gate, 48u);
    }
}

@compute @workgroup_size(WORKGROUP)
fn forward_resident_columns(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let slice = slice_of(group);
    let walk = walk_of(slice, lane);
    load_first_chunk(walk);
    find_pivots(slice, walk, lane);
    merge_words(walk, load_rest(walk, word_pivots(slice, walk)), lane);
    finish_columns(slice, lane);
    write_held(walk, word_affine(slice, walk), gate_index(group, lane));
    if group == 0u && lane == 0u {
        count_batch();
    }
}
