// A whole backward in one dispatch, for slots that fit a workgroup's registers: x and dy are read once.
// dx = gamma * rstd * (dy - dbeta / n - xhat * dgamma / n), or gamma * rstd * dy where the running
// statistics normalized. Derivation: src/derivation.md.
// Host half: src/kernels/backward_resident.rs. Lib: element_*, held_*, io_x*, io_dy*, io_dx,
// io_dresidual*, rows, rows_whole, rows_held, held, gain_sums_held, workgroup, state, flags, slots, gains_*,
// offsets_*, corrections, centred, flow, word_where, gates_*, reduce_*, barrier_*, lanes_together, turns_one.
//   x, dy, dx [outer][count][inner]  read, read, written
//   dresidual [outer][count][inner]  written where wanted
//   state                            saved statistics and gates read; partial sums written, see GROUPED and
//                                    GAIN_SUMS
//   gamma [gains]                    read where there is one
//   beta [gains]                     read where gates are computed from x
//   dgamma, dbeta [count]            written where wanted and no gain has several slots
// Grid: one workgroup for WORKGROUP / lanes slots at a time, so many times as there are turns.
@group(0) @binding(7) var<storage, read_write> dgamma: array<f32>;
@group(0) @binding(8) var<storage, read_write> dbeta: array<f32>;

// What is done to the gradients of a slot.
struct Gradient {
    rstd: f32,
    scale: f32,
    mean_dy: f32,
    slope: f32,
}

// It takes the sums of dy and dy * xhat, which the first lane that shares the slot leaves.
fn gradient_of(slot: u32, saved: vec4<f32>, sums: vec2<f32>, leaves: bool) -> Gradient {
    let rd = saved_corrections(slot, saved);
    if leaves {
        if has(GROUPED) {
            set_sums(slot_partial(slot, 0u), sums);
        }
        if has(WANT_DBETA) {
            dbeta[slot] = sums.x;
        }
        if has(WANT_DGAMMA) {
            dgamma[slot] = sums.y * rd.x + sums.x * rd.y;
        }
    }
    return Gradient(
        saved.z,
        saved.z * rd.x * gain(slot),
        select(sums.x / params.n, 0.0, has(NO_MEAN)),
        saved.z * sums.y / params.n,
    );
}

// Sums of dy and of dy * (x - mean), of all words that a lane holds.
struct Sums {
    dy: Word,
    dy_x: Word,
}

fn added(a: Sums, b: Sums) -> Sums {
    return Sums(a.dy + b.dy, a.dy_x + b.dy_x);
}

var<private> gains_held: array<Word, HELD>;

fn load_gains_chunk(lane: u32, begin: u32) {
    for (var j = 0u; j < CHUNK; j++) {
        let i = begin + j;
        gains_held[i] = gained(Word(1.0), gain_word(lane, i));
    }
}

fn load_gains(lane: u32) {
    load_gains_chunk(lane, 0u);
    if HELD > 8u {
        load_gains_chunk(lane, 8u);
    }
    if HELD > 16u {
        load_gains_chunk(lane, 16u);
        load_gains_chunk(lane, 24u);
    }
}

// dy times the gain of each element.
fn gained_dy(i: u32) -> Word {
    if ELEMENT_GAINS {
        return dy_held[i] * gains_held[i];
    }
    return dy_held[i];
}

// x - mean, of statistics that are known before.
fn load_centred_chunk(held: Held, k: f32, d: f32, begin: u32) {
    for (var j = 0u; j < CHUNK; j++) {
        let i = begin + j;
        x_held[i] = less(load_x(held_word(held, i)) - k, Word(d));
    }
}

fn load_centred(held: Held, k: f32, d: f32) {
    load_centred_chunk(held, k, d, 0u);
    if HELD > 8u {
        load_centred_chunk(held, k, d, 8u);
    }
    if HELD > 16u {
        load_centred_chunk(held, k, d, 16u);
        load_centred_chunk(held, k, d, 24u);
    }
}

fn load_dy_held_chunk(held: Held, begin: u32) {
    for (var j = 0u; j < CHUNK; j++) {
        let i = begin + j;
        dy_held[i] = load_dy(held_word(held, i));
    }
}

fn load_dy_held(held: Held) {
    load_dy_held_chunk(held, 0u);
    if HELD > 8u {
        load_dy_held_chunk(held, 8u);
    }
    if HELD > 16u {
        load_dy_held_chunk(held, 16u);
        load_dy_held_chunk(held, 24u);
    }
}

// What was said of y in the slot, and where its bits begin.
struct Gates {
    affine: vec2<f32>,
    first: u32,
    lane: u32,
}

// Takes from dy what did not pass an activation.
fn sums_of_chunk(held: Held, gates: Gates, begin: u32) -> Sums {
    var sum: Sums;
    let bits = gate_bits(gates.first + begin / CHUNK * WORKGROUP);
    let scale = Word(gates.affine.x);
    let shift = Word(gates.affine.y);
    for (var j = 0u; j < CHUNK; j++) {
        let i = begin + j;
        let word = gain_word(gates.lane, i);
        dy_held[i] = gated(dy_held[i], x_held[i], scale, shift, word, bits >> (j * WIDTH));
        let dy = select(Word(0.0), gained_dy(i), is_held(held, i));
        sum.dy += dy;
        sum.dy_x += dy * x_held[i];
    }
    return sum;
}

fn sums_of(held: Held, gates: Gates) -> Sums {
    var sum = sums_of_chunk(held, gates, 0u);
    if HELD > 8u {
        sum = added(sum, sums_of_chunk(held, gates, 8u));
    }
    if HELD > 16u {
        sum = added(sum, sums_of_chunk(held, gates, 16u));
        sum = added(sum, sums_of_chunk(held, gates, 24u));
    }
    return sum;
}

// Writes what is wanted of all words, and adds them to the sums over rows.
fn store_held_chunk(held: Held, g: Gradient, begin: u32) {
    for (var j = 0u; j < CHUNK; j++) {
        let i = begin + j;
        if is_held(held, i) {
            let dx = g.scale * flow(gained_dy(i), x_held[i], Word(g.mean_dy), Word(g.slope));
            store_dresidual(held_word(held, i), dy_held[i]);
            if has(WANT_DX) {
                store_dx(held_word(held, i), dx);
            }
        }
        if has(GAIN_SUMS) {
            sum_gains(held, i, g.rstd);
        }
    }
}

fn store_held(held: Held, g: Gradient) {
    store_held_chunk(held, g, 0u);
    if HELD > 8u {
        store_held_chunk(held, g, 8u);
    }
    if HELD > 16u {
        store_held_chunk(held, g, 16u);
        store_held_chunk(held, g, 24u);
    }
}

@compute @workgroup_size(WORKGROUP)
fn backward_resident_rows(@builtin(workgroup_id) group_id: vec3<u32>, here: Invocation) {
    let lane = here.lane;
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    if ELEMENT_GAINS {
        // The same for all slots of a lane.
        load_gains(lane);
    }
    let gate = gate_index(group, lane);
    for (var turn = 0u; turn < params.turns; turn++) {
        let slice = shared_slot(group, turn, lane);
        let held = held_of(slice, lane);
        let saved = state_at(saved_index(slice.slot));
        load_centred(held, saved.x, saved.y);
        load_dy_held(held);
        let first = gate + turn * (HELD / CHUNK) * WORKGROUP;
        let gates = Gates(gate_affine(slice.slot, saved), first, lane);
        let own = sums_of(held, gates);
        var sums = lanes_sum(vec2<f32>(word_sum(own.dy), word_sum(own.dy_x)), here, params.lanes);
        sums.y *= saved.z;
        let g = gradient_of(slice.slot, saved, sums, held.run == 0u && held.end > 0u);
        if writes_words() || has(GAIN_SUMS) {
            store_held(held, g);
        }
        if has(GAIN_SUMS) && (turn & 31u) == 31u {
            keep_gains();
        }
    }
    if has(GAIN_SUMS) {
        keep_gains();
        leave_gains(group * (WORKGROUP / params.lanes) + lane / params.lanes, lane);
    }
}
