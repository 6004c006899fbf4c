// Second dispatch of a training forward and the only one of inference, split rows:
// y = act(((x - K) - d) * rstd * gamma + beta + residual).
// Host half: src/kernels/normalize.rs. Lib: element_*, io_x*, io_y, io_residual*, rows, rows_*, workgroup,
// state, flags, slots, gains_*, offsets_*, running, corrections, centred, moments, partial_moments, statistics,
// gates_index, tail, word_where, mask*, reduce_*, barrier_*, lanes_*, turns_*.
//   x, y [outer][count][inner]  read and written
//   residual [outer][count][inner]  read where there is one
//   state                       partial moments read, saved statistics written; see SAVE, SAVED; gates written
//   gamma, beta [gains]         read where there are any
//   running_mean, running_var   [count] read or moved
// Grid: one workgroup per slice, last slice first: what the first dispatch read last is still in
// cache. Each workgroup merges its slot's few partials itself, which saves a third launch.

// Merges the statistic's partials around one pivot: their sums give the mean, and only then their
// squares are taken from it.
fn merge_statistic(statistic: u32, here: Invocation) -> vec4<f32> {
    if has(ONE_PARTIAL) {
        return finished(state_at(statistic_partial(statistic, 0u)));
    }
    let k = statistic_pivot(statistic);
    let sum = share_of_moments(statistic, place_of(here.lane), walkers(), k, 0.0, false);
    let d = mean_offset(walkers_sum(vec2<f32>(sum, 0.0), here).x, params.n);
    let m2 = share_of_moments(statistic, place_of(here.lane), walkers(), k, d, true);
    return vec4<f32>(params.n, k, d, walkers_sum(vec2<f32>(m2, 0.0), here).x);
}

// The statistics that c names; the one workgroup that `owns` them also saves and moves them.
fn final_statistics(c: u32, owns: bool, here: Invocation) -> vec4<f32> {
    if has(SAVED) {
        return state_at(saved_index(c));
    }
    var statistics: vec4<f32>;
    var moment: vec4<f32>;
    if !has(USE_RUNNING) || (has(UPDATE_RUNNING) && owns) {
        moment = merge_statistic(c, here);
    }
    if !has(USE_RUNNING) {
        statistics = statistics_of(moment);
    } else if has(UPDATE_RUNNING) {
        statistics = state_at(saved_index(c));
    } else {
        statistics = running_statistics(c);
    }
    if owns && place_of(here.lane) == 0u {
        if has(SAVE) {
            set_state(saved_index(c), statistics);
        }
        if has(UPDATE_RUNNING) {
            update_running(c, moment);
        }
    }
    return statistics;
}

// What is done to the elements of one slot.
struct Affine {
    k: f32,
    d: f32,
    scale: f32,
    shift: f32,
}

fn affine_of(slot: u32, owns: bool, here: Invocation) -> Affine {
    let c = statistic_of(slot);
    let statistics = final_statistics(c, owns, here);
    let rd = saved_corrections(c, statistics);
    let scale = statistics.z * rd.x * gain(slot);
    return Affine(statistics.x, statistics.y, scale, rd.y * gain(slot) + offset(slot));
}

fn normalized(x: Word, own: Affine, next: Affine, c: Cursor, stride: Stride) -> Word {
    let k = spread(own.k, next.k, c, stride);
    let d = spread(own.d, next.d, c, stride);
    let xhat = less(x - k, d) * spread(own.scale, next.scale, c, stride);
    let gains = written_gains(c);
    return offset_by(gained(xhat, gains) + spread(own.shift, next.shift, c, stride), gains);
}

// The words of gates that the lane writes next.
var<private> gate: u32;

// Writes the lane's words of one slot from the cursor on.
fn write_piece(slot: u32, first: Cursor, stride: Stride, own: Affine, next: Affine) {
    let end = stride.end;
    var c0 = first;
    while c0.at < end {
        var gates = 0u;
        var gate_shift = 0u;
        let gated_end = gates_end(c0.at, walkers(), end);
        while c0.at < gated_end {
            let c1 = advance(c0, stride);
            let c2 = advance(c1, stride);
            let c3 = advance(c2, stride);
            let i0 = written_word(c0);
            let i1 = select(i0, written_word(c1), c1.at < end);
            let i2 = select(i0, written_word(c2), c2.at < end);
            let i3 = select(i0, written_word(c3), c3.at < end);
            let x0 = load_x(i0);
            let x1 = load_x(i1);
            let x2 = load_x(i2);
            let x3 = load_x(i3);
            let r0 = load_residual(i0);
            let r1 = load_residual(i1);
            let r2 = load_residual(i2);
            let r3 = load_residual(i3);
            let y0 = valid(tailed(normalized(x0, own, next, c0, stride), r0), written_mask(c0, slot));
            let y1 = valid(tailed(normalized(x1, own, next, c1, stride), r1), written_mask(c1, slot));
            let y2 = valid(tailed(normalized(x2, own, next, c2, stride), r2), written_mask(c2, slot));
            let y3 = valid(tailed(normalized(x3, own, next, c3, stride), r3), written_mask(c3, slot));
            if has(GATED) {
                let pair = gate_of(y0) | (gate_of(y1) << WIDTH);
                gates |= (pair | ((gate_of(y2) | (gate_of(y3) << WIDTH)) << (2u * WIDTH))) << gate_shift;
                gate_shift += 4u * WIDTH;
            }
            if writes(c0, stride) {
                store_y(i0, y0);
            }
            if writes(c1, stride) {
                store_y(i1, y1);
            }
            if writes(c2, stride) {
                store_y(i2, y2);
            }
            if writes(c3, stride) {
                store_y(i3, y3);
            }
            c0 = advance(c3, stride);
        }
        if has(GATED) {
            state[gate] = gates;
            gate += WORKGROUP;
        }
    }
}

// Of each slot that the lane takes in turns, and of the one behind it.
var<private> owns: array<Affine, TURNS>;
var<private> nexts: array<Affine, TURNS>;

@compute @workgroup_size(WORKGROUP)
fn normalize_rows(@builtin(workgroup_id) group_id: vec3<u32>, here: Invocation) {
    let lane = here.lane;
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let mirrored = params.groups - 1u - group;
    let slice = slice_of(mirrored, lane);
    for (var t = 0u; t < turns(); t++) {
        let slot = in_turn(slice, t).slot;
        owns[t] = affine_of(slot, slice.index == 0u && leads(slot), here);
        if STRADDLES {
            nexts[t] = affine_of(next_slot(slot), false, here);
        } else {
            nexts[t] = owns[t];
        }
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
