// A whole backward in one dispatch, for columns that fit a workgroup's registers: x and dy are read
// once. dx = gamma * rstd * (dy - dbeta / n - xhat * dgamma / n), or gamma * rstd * dy where the running
// statistics normalized. Derivation: src/derivation.md.
// Host half: src/kernels/backward_resident.rs. Lib: element_*, held_*, span_1, io_x*, io_dy*, io_dx,
// io_dresidual*, columns, columns_held, held, workgroup, state, flags, slots, gains_*, offsets_*, corrections, centred, flow, word_where, gates_*,
// merge_tree, barrier_*.
//   x, dy, dx [rows][row_words]  read, read, written
//   dresidual [rows][row_words]  written where wanted
//   state                        saved statistics and gates read; partial sums written, see GROUPED
//   gamma [gains]                read where there is one
//   beta [gains]                 read where gates are computed from x
//   dgamma, dbeta [count]        written where wanted and no gain has several slots
// Grid: one workgroup per block of columns, which owns all rows of it.
@group(0) @binding(7) var<storage, read_write> dgamma: array<f32>;
@group(0) @binding(8) var<storage, read_write> dbeta: array<f32>;

var<private> dy_held: array<Word, HELD>;

// Sums of dy and of dy * (x - mean), of the words of a lane.
struct Sums {
    dy: Word,
    dy_x: Word,
}

fn added(a: Sums, b: Sums) -> Sums {
    return Sums(a.dy + b.dy, a.dy_x + b.dy_x);
}

// What is known of the columns of a word before they are read.
struct Saved {
    k: Word,
    d: Word,
    rstd: Word,
    scale: Word,
    gate_scale: Word,
    gate_shift: Word,
}

fn saved_of(slice: Slice, walk: Walk) -> Saved {
    var ks: array<f32, 4>;
    var ds: array<f32, 4>;
    var rstds: array<f32, 4>;
    var scales: array<f32, 4>;
    var gate_scales: array<f32, 4>;
    var gate_shifts: array<f32, 4>;
    for (var c = 0u; c < WIDTH; c++) {
        let slot = slot_of(slice, walk.word * WIDTH + c);
        let saved = state_at(saved_index(slot));
        ks[c] = saved.x;
        ds[c] = saved.y;
        rstds[c] = saved.z;
        let affine = gate_affine(slot, saved);
        gate_scales[c] = affine.x;
        gate_shifts[c] = affine.y;
        scales[c] = saved.z * saved_corrections(slot, saved).x * gain(slot);
    }
    return Saved(
        word_from(ks),
        word_from(ds),
        word_from(rstds),
        word_from(scales),
        word_from(gate_scales),
        word_from(gate_shifts),
    );
}

// Loads x - mean, and dy but for what did not pass an activation.
fn load_chunk(walk: Walk, saved: Saved, gate: u32, begin: u32) -> Sums {
    var sum: Sums;
    let bits = gate_bits(gate + begin / CHUNK * WORKGROUP);
    for (var j = 0u; j < CHUNK; j++) {
        let i = begin + j;
        let word = held_word(walk, i);
        let x = less(load_x(word) - saved.k, saved.d);
        let passed = bits >> (j * WIDTH);
        let dy = gated(load_dy(word), x, saved.gate_scale, saved.gate_shift, 0u, passed);
        x_held[i] = x;
        dy_held[i] = dy;
        sum.dy += select(Word(0.0), dy, is_held(walk, i));
        sum.dy_x += select(Word(0.0), dy * x, is_held(walk, i));
    }
    return sum;
}

fn load_two(walk: Walk, saved: Saved, gate: u32, begin: u32) -> Sums {
    return added(load_chunk(walk, saved, gate, begin), load_chunk(walk, saved, gate, begin + 8u));
}

fn load_held(walk: Walk, saved: Saved, gate: u32) -> Sums {
    var sum = load_chunk(walk, saved, gate, 0u);
    if HELD > 8u {
        sum = added(sum, load_chunk(walk, saved, gate, 8u));
    }
    if HELD > 16u {
        sum = added(sum, load_two(walk, saved, gate, 16u));
    }
    if HELD > 32u {
        let more = load_two(walk, saved, gate, 32u);
        sum = added(sum, added(more, load_two(walk, saved, gate, 48u)));
    }
    return sum;
}

fn write_parameters(slice: Slice, lane: u32) {
    for (var i = lane; i < merged_columns(); i += WORKGROUP) {
        if slice.first_column + i < params.count {
            let slot = slot_of(slice, slice.first_column + i);
            let sums = merge_scratch[i];
            let rd = saved_corrections(slot, state_at(saved_index(slot)));
            if has(GROUPED) {
                set_sums(column_partial(slice, i), sums);
            }
            if has(WANT_DBETA) {
                dbeta[slot] = sums.x;
            }
            if has(WANT_DGAMMA) {
                dgamma[slot] = sums.y * rd.x + sums.x * rd.y;
            }
        }
    }
}

// The means of dy and the slopes along x of statistics that were computed from it.
struct Gradient {
    scale: Word,
    mean_dy: Word,
    slope: Word,
}

fn gradient_of(slice: Slice, walk: Walk, saved: Saved) -> Gradient {
    var means: array<f32, 4>;
    var slopes: array<f32, 4>;
    if !has(USE_RUNNING) {
        let rstds = word_split(saved.rstd);
        for (var c = 0u; c < WIDTH; c++) {
            let sums = merge_scratch[merged_column(slice, walk.word, c)];
            means[c] = select(sums.x / params.n, 0.0, has(NO_MEAN));
            slopes[c] = rstds[c] * sums.y / params.n;
        }
    }
    return Gradient(saved.scale, word_from(means), word_from(slopes));
}

fn store_chunk(walk: Walk, g: Gradient, begin: u32) {
    for (var j = 0u; j < CHUNK; j++) {
        let i = begin + j;
        if is_held(walk, i) {
            let word = held_word(walk, i);
            store_dresidual(word, dy_held[i]);
            if has(WANT_DX) {
                store_dx(word, g.scale * flow(dy_held[i], x_held[i], g.mean_dy, g.slope));
            }
        }
    }
}

fn store_two(walk: Walk, g: Gradient, begin: u32) {
    store_chunk(walk, g, begin);
    store_chunk(walk, g, begin + 8u);
}

fn store_held(walk: Walk, g: Gradient) {
    store_chunk(walk, g, 0u);
    if HELD > 8u {
        store_chunk(walk, g, 8u);
    }
    if HELD > 16u {
        store_two(walk, g, 16u);
    }
    if HELD > 32u {
        store_two(walk, g, 32u);
        store_two(walk, g, 48u);
    }
}

@compute @workgroup_size(WORKGROUP)
fn backward_resident_columns(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let slice = slice_of(group);
    let walk = walk_of(slice, lane);
    let saved = saved_of(slice, walk);
    let sums = load_held(walk, saved, gate_index(group, lane));
    leave_word(walk, 0u, sums.dy, sums.dy_x * saved.rstd);
    merge_lanes(lane);
    write_parameters(slice, lane);
    if writes_words() {
        store_held(walk, gradient_of(slice, walk, saved));
    }
}
