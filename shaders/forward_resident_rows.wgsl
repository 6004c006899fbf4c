// A whole training forward in one dispatch, for slots that fit a workgroup's registers: x is read once.
// y = act(((x - K) - d) * rstd * gamma + beta + residual).
// Host half: src/kernels/forward_resident.rs. Lib: element_*, held_*, io_x*, io_y, io_residual*, rows,
// rows_whole, rows_held, held, held_pivot, workgroup, state, flags, slots, gains_*, offsets_*, running, corrections, centred, moments,
// statistics, gates_index, tail, tracked*, reduce_*, barrier_*, lanes_together, turns_one.
//   x, y [outer][count][inner]  read and written
//   residual [outer][count][inner]  read where there is one
//   state                       saved statistics and gates written
//   gamma, beta [gains]         read where there are any
//   running_mean, running_var   [count] read or moved
//   tracked [1]                 num_batches_tracked, counted up here where no residual is bound
// Grid: one workgroup for WORKGROUP / lanes slots at a time, so many times as there are turns.
// Sums of x from a pivot and of their squares, of all words that a lane holds.
struct Sums {
    s: Word,
    q: Word,
}

fn added(a: Sums, b: Sums) -> Sums {
    return Sums(a.s + b.s, a.q + b.q);
}

var<private> gains_held: array<Word, HELD>;
var<private> offsets_held: array<Word, HELD>;

fn load_gains_chunk(lane: u32, begin: u32) {
    for (var j = 0u; j < CHUNK; j++) {
        let i = begin + j;
        gains_held[i] = gained(Word(1.0), gain_word(lane, i));
        offsets_held[i] = offset_by(Word(0.0), gain_word(lane, i));
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

fn load_first_chunk(held: Held) {
    for (var i = 0u; i < CHUNK; i++) {
        x_held[i] = load_x(held_word(held, i));
    }
}

// Takes the pivot from the first chunk; gives its sums.
fn centre_first_chunk(held: Held, k: f32) -> Sums {
    var sum: Sums;
    for (var i = 0u; i < CHUNK; i++) {
        x_held[i] -= k;
        let d = select(Word(0.0), x_held[i], is_held(held, i));
        sum.s += d;
        sum.q += d * d;
    }
    return sum;
}

// Loads one of the others and takes the pivot from it.
fn load_centred(held: Held, k: f32, begin: u32) -> Sums {
    var sum: Sums;
    for (var j = 0u; j < CHUNK; j++) {
        let i = begin + j;
        x_held[i] = load_x(held_word(held, i)) - k;
        let d = select(Word(0.0), x_held[i], is_held(held, i));
        sum.s += d;
        sum.q += d * d;
    }
    return sum;
}

// Loads the rest of x and takes the pivot from all of it.
fn load_rest(held: Held, k: f32) -> Sums {
    var sum = centre_first_chunk(held, k);
    if HELD > 8u {
        sum = added(sum, load_centred(held, k, 8u));
    }
    if HELD > 16u {
        sum = added(added(sum, load_centred(held, k, 16u)), load_centred(held, k, 24u));
    }
    return sum;
}

// Words of a lane that the pivot is taken from: of many words a few, since to add them all up took 6 % of layer
// norm's forward. Samples of a single lane would lie in one column of an image.
const SAMPLED: u32 = select(HELD, 2u, HELD > CHUNK);

fn slot_pivot(held: Held, here: Invocation) -> f32 {
    if has(NO_MEAN) {
        return 0.0;
    }
    let base = word_split(load_x(held.first))[0];
    var s = Word(0.0);
    var far = Word(0.0);
    for (var i = 0u; i < SAMPLED; i++) {
        let d = select(Word(0.0), x_held[i] - base, is_held(held, i));
        s += d;
        far += abs(d);
    }
    let sums = lanes_sum(vec2<f32>(word_sum(s), word_sum(far)), here, params.lanes);
    return held_pivot(base, sums, f32(SAMPLED * params.lanes * WIDTH));
}

// What becomes of x from the pivot; of x itself where the running statistics normalize, since a pivot among
// outliers may lie far from their mean. Then that is d.
struct Affine {
    d: f32,
    scale: f32,
    shift: f32,
}

// Writes y of a chunk of words; gives the bits of what passed.
fn write_chunk(held: Held, a: Affine, begin: u32) -> u32 {
    var gates = 0u;
    for (var j = 0u; j < CHUNK; j++) {
        let i = begin + j;
        let word = held_word(held, i);
        var centred = less(x_held[i], Word(a.d));
        if has(USE_RUNNING) {
            centred = load_x(word) - a.d;
        }
        var v = centred * a.scale;
        if ELEMENT_GAINS {
            v = v * gains_held[i] + offsets_held[i];
        } else {
            v = v + a.shift;
        }
        let y = tailed(v, load_residual(word));
        if is_held(held, i) {
            store_y(word, y);
            if has(GATED) {
                gates |= gate_of(y) << (j * WIDTH);
            }
        }
    }
    return gates;
}

// Each chunk of words keeps its bits in a word of their own.
fn write_held(held: Held, a: Affine, gate: u32) {
    keep_gates(gate, write_chunk(held, a, 0u));
    if HELD > 8u {
        keep_gates(gate + WORKGROUP, write_chunk(held, a, 8u));
    }
    if HELD > 16u {
        keep_gates(gate + 2u * WORKGROUP, write_chunk(held, a, 16u));
        keep_gates(gate + 3u * WORKGROUP, write_chunk(held, a, 24u));
    }
}

fn keep_gates(gate: u32, gates: u32) {
    if has(GATED) {
        state[gate] = gates;
    }
}

// The statistics of the slot and their corrections, which the first lane that shares it saves and
// moves.
struct Statistics {
    saved: vec4<f32>,
    rd: vec2<f32>,
}

fn slot_statistics(slot: u32, moment: vec4<f32>, saves: bool) -> Statistics {
    var statistics = statistics_of(moment);
    var old = vec2<f32>(0.0);
    if has(CORRECTED) {
        old = vec2<f32>(running_mean[slot], running_var[slot]);
    }
    if has(USE_RUNNING) {
        statistics = running_statistics(slot);
    }
    if has(USE_RUNNING) || has(CORRECTED) {
        // Every lane has read the running values before one moves them; other barriers are about shared
        // memory alone.
        sync();
        storageBarrier();
    }
    if saves {
        set_state(saved_index(slot), statistics);
        if has(CORRECTED) {
            set_state(old_index(slot), vec4<f32>(old, 0.0, 0.0));
        }
        if has(UPDATE_RUNNING) {
            update_running(slot, moment);
        }
    }
    return Statistics(statistics, corrections(statistics, old));
}

@compute @workgroup_size(WORKGROUP)
fn forward_resident_rows(@builtin(workgroup_id) group_id: vec3<u32>, here: Invocation) {
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

        load_first_chunk(held);
        let k = slot_pivot(held, here);
        let own = load_rest(held, k);
        let sums = lanes_sum(vec2<f32>(word_sum(own.s), word_sum(own.q)), here, params.lanes);
        let moment = finished(vec4<f32>(params.n, k, sums));
        let leaves = held.run == 0u && held.end > 0u;
        let statistics = slot_statistics(slice.slot, moment, leaves);

        let d = select(statistics.saved.y, statistics.saved.x, has(USE_RUNNING));
        let scale = statistics.saved.z * statistics.rd.x * gain(slice.slot);
        let shift = statistics.rd.y * gain(slice.slot) + offset(slice.slot);
        write_held(held, Affine(d, scale, shift), gate + turn * (HELD / CHUNK) * WORKGROUP);
    }
    if group == 0u && lane == 0u {
        count_batch();
    }
}
