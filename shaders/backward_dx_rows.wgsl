// Second dispatch of a backward, split rows:
// dx = gamma * rstd * (dy - dbeta / n - xhat * dgamma / n), or gamma * rstd * dy where the running
// statistics normalized. Derivation: src/derivation.md.
// Host half: src/kernels/backward_dx.rs. Lib: element_*, io_x*, io_dy*, io_dx, io_dresidual*, rows,
// rows_*, workgroup, state, flags, slots, gains_*, offsets_*, corrections, centred, flow, word_where, gates_*, mask*,
// partial_sums, reduce_*, barrier_*, lanes_*, turns_*.
//   x, dy, dx [outer][count][inner]  read, read, written; x is not bound (io_x_none) where the
//                                    running statistics normalized and no gate is computed from it
//   dresidual [outer][count][inner]  written where wanted
//   state                            saved statistics, partial sums and gates read
//   gamma [gains]                    read where there is one
//   beta [gains]                     read where gates are computed from x
//   dgamma, dbeta [count]            written where wanted and no gain has several slots
// Grid: one workgroup per slice, last slice first; where no dx is wanted only a slot's first works.
@group(0) @binding(7) var<storage, read_write> dgamma: array<f32>;
@group(0) @binding(8) var<storage, read_write> dbeta: array<f32>;

// The sums of dy and dy * xhat of a statistic from its partials; the one workgroup that `owns` it writes
// what they are of a single slot: dbeta, and dgamma of xhat * r + d.
fn final_sums(c: u32, owns: bool, rd: vec2<f32>, here: Invocation) -> vec2<f32> {
    var sums = vec2<f32>(0.0);
    if !has(USE_RUNNING) || has(WANT_DGAMMA) || has(WANT_DBETA) {
        if has(ONE_PARTIAL) && !has(GROUPED) {
            sums = state_at(statistic_partial(c, 0u)).xy;
        } else {
            sums = walkers_sum(share_of_sums(c, place_of(here.lane), walkers()), here);
        }
    }
    if owns && place_of(here.lane) == 0u {
        if has(WANT_DBETA) {
            dbeta[c] = sums.x;
        }
        if has(WANT_DGAMMA) {
            dgamma[c] = sums.y * rd.x + sums.x * rd.y;
        }
    }
    return sums;
}

// What is done to the gradients of one slot. Its gain is part of the scale, but where the sums are of
// several gains: there it belongs to dy.
struct Gradient {
    k: f32,
    d: f32,
    gain: f32,
    scale: f32,
    mean_dy: f32,
    slope: f32,
    // Those of y where gates are computed from x.
    gate: vec2<f32>,
}

fn gradient_of(slot: u32, owns: bool, here: Invocation) -> Gradient {
    let c = statistic_of(slot);
    let saved = state_at(saved_index(c));
    let rd = saved_corrections(c, saved);
    let sums = final_sums(c, owns, rd, here);
    var dy_gain = 1.0;
    var scale = saved.z * rd.x;
    if has(GROUPED) {
        dy_gain = gain(slot);
    } else {
        scale *= gain(slot);
    }
    let n = statistic_n(c);
    let mean_dy = select(sums.x / n, 0.0, has(NO_MEAN));
    let slope = saved.z * sums.y / n;
    return Gradient(saved.x, saved.y, dy_gain, scale, mean_dy, slope, gate_affine(slot, saved));
}

// x - mean.
fn centred(x: Word, own: Gradient, next: Gradient, c: Cursor, stride: Stride) -> Word {
    return less(x - spread(own.k, next.k, c, stride), spread(own.d, next.d, c, stride));
}

// dy where it passed the activation.
fn passed(dy: Word, x: Word, own: Gradient, next: Gradient, c: Cursor, stride: Stride, bits: u32) -> Word {
    let scale = spread(own.gate.x, next.gate.x, c, stride);
    let shift = spread(own.gate.y, next.gate.y, c, stride);
    return gated(dy, x, scale, shift, written_gains(c), bits);
}

// Given x - mean.
fn gradient(x: Word, dy: Word, own: Gradient, next: Gradient, c: Cursor, stride: Stride) -> Word {
    var h = gained(dy, written_gains(c));
    if has(GROUPED) {
        h *= spread(own.gain, next.gain, c, stride);
    }
    let mean_dy = spread(own.mean_dy, next.mean_dy, c, stride);
    let slope = spread(own.slope, next.slope, c, stride);
    return spread(own.scale, next.scale, c, stride) * flow(h, x, mean_dy, slope);
}

fn store_word(
    i: u32,
    x: Word,
    dy: Word,
    own: Gradient,
    next: Gradient,
    c: Cursor,
    stride: Stride,
    mask: u32,
) {
    store_dresidual(i, valid(dy, mask));
    if has(WANT_DX) {
        store_dx(i, valid(gradient(x, dy, own, next, c, stride), mask));
    }
}

// The word of gates that the lane reads next.
var<private> gate: u32;

// Writes the lane's words of one slot from the cursor on.
fn write_piece(slot: u32, first: Cursor, stride: Stride, own: Gradient, next: Gradient) {
    let end = stride.end;
    var c0 = first;
    while c0.at < end {
        let gates = gate_bits(gate);
        var gate_shift = 0u;
        let gated_end = gates_end(c0.at, walkers(), end);
        while c0.at < gated_end {
            let c1 = advance(c0, stride);
            let i0 = written_word(c0);
            let i1 = select(i0, written_word(c1), c1.at < end);
            let x0 = centred(load_x(i0), own, next, c0, stride);
            let x1 = centred(load_x(i1), own, next, c1, stride);
            let bits1 = gates >> (gate_shift + WIDTH);
            let dy0 = passed(load_dy(i0), x0, own, next, c0, stride, gates >> gate_shift);
            let dy1 = passed(load_dy(i1), x1, own, next, c1, stride, bits1);
            gate_shift += 2u * WIDTH;
            if writes(c0, stride) {
                store_word(i0, x0, dy0, own, next, c0, stride, written_mask(c0, slot));
            }
            if writes(c1, stride) {
                store_word(i1, x1, dy1, own, next, c1, stride, written_mask(c1, slot));
            }
            c0 = advance(c1, stride);
        }
        gate += WORKGROUP;
    }
}

// Of each slot that the lane takes in turns, and of the one behind it.
var<private> owns: array<Gradient, TURNS>;
var<private> nexts: array<Gradient, TURNS>;

@compute @workgroup_size(WORKGROUP)
fn backward_dx_rows(@builtin(workgroup_id) group_id: vec3<u32>, here: Invocation) {
    let lane = here.lane;
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let mirrored = params.groups - 1u - group;
    let slice = slice_of(mirrored, lane);
    if !writes_words() && slice.index != 0u {
        return;
    }
    for (var t = 0u; t < turns(); t++) {
        let slot = in_turn(slice, t).slot;
        owns[t] = gradient_of(slot, slice.index == 0u, here);
        if STRADDLES && writes_words() {
            nexts[t] = gradient_of(next_slot(slot), false, here);
        } else {
            nexts[t] = owns[t];
        }
    }
    if !writes_words() {
        return;
    }
    gate = gate_index(mirrored, lane);
    var stride = stride_of(slice);
    var begin = slice.begin;
    while begin < slice.end {
        let first = cursor_at(slice, begin + place_of(lane));
        stride.end = pieces_end(begin, 1u, slice.end);
        for (var t = 0u; t < turns(); t++) {
            write_piece(in_turn(slice, t).slot, cursor_in_turn(first, t), stride, owns[t], nexts[t]);
        }
        begin = stride.end;
    }
}
