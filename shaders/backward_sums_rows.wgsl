// First dispatch of a backward, split rows: sum dy and sum dy * xhat per slice.
// Host half: src/kernels/backward_sums.rs. Lib: element_*, io_x*, io_dy*, rows, rows_*, workgroup,
// state, flags, slots, gains_*, offsets_*, corrections, centred, word_where,
// gates_*, mask*, reduce_*, barrier_*, lanes_*, turns_*.
//   x, dy [outer][count][inner]  read
//   state                        saved statistics and gates read, partial sums written
//   gamma [gains]                read where each element of a slot has its own: dy times it counts
//   gamma, beta [gains]          read where gates are computed from x
// Grid: one workgroup per slice, slices of a slot beside each other; of as many slots as it walks along.

// Words whose sums stay apart from the total, no fewer than have their gates in one word.
const PART: u32 = max(32u / WIDTH, 16u);

// The word of gates that the lane reads next.
var<private> gate: u32;

// The sums of dy and dy * (x - mean) over this lane's words, in three levels as in moments_rows.wgsl.
fn lane_sums(slot: u32, first: Cursor, walk: Stride, saved: vec4<f32>) -> vec2<f32> {
    let k = saved.x;
    let d = saved.y;
    let affine = gate_affine(slot, saved);
    let scale = Word(affine.x);
    let shift = Word(affine.y);
    var sum_dy = Word(0.0);
    var sum_dy_x = Word(0.0);
    var stride = walk;
    var c0 = first;
    while c0.at < walk.end {
        let long_end = min(c0.at + 32u * PART * walkers(), walk.end);
        var long_dy = Word(0.0);
        var long_dy_x = Word(0.0);
        while c0.at < long_end {
            stride.end = min(c0.at + PART * walkers(), long_end);
            var part_dy = Word(0.0);
            var part_dy_x = Word(0.0);
            while c0.at < stride.end {
                let gates = gate_bits(gate);
                var gate_shift = 0u;
                let gated_end = gates_end(c0.at, walkers(), stride.end);
                while c0.at < gated_end {
                    let c1 = advance(c0, stride);
                    let i0 = word_of(c0);
                    let i1 = select(i0, word_of(c1), c1.at < stride.end);
                    let x0 = load_x(i0);
                    let x1 = load_x(i1);
                    let m0 = read_mask(c0, slot);
                    let m1 = read_mask(c1, slot);
                    let centred0 = valid(less(x0 - k, Word(d)), m0);
                    let centred1 = valid(less(x1 - k, Word(d)), m1);
                    let passed0 = gated(load_dy(i0), centred0, scale, shift, read_gains(c0), gates >> gate_shift);
                    let bits1 = gates >> (gate_shift + WIDTH);
                    let passed1 = gated(load_dy(i1), centred1, scale, shift, read_gains(c1), bits1);
                    gate_shift += 2u * WIDTH;
                    let dy0 = gained(valid(passed0, m0), read_gains(c0));
                    let dy1 = gained(valid(passed1, m1), read_gains(c1));
                    part_dy += members(dy0, c0, stride) + members(dy1, c1, stride);
                    part_dy_x += members(dy0 * centred0, c0, stride) + members(dy1 * centred1, c1, stride);
                    c0 = advance(c1, stride);
                }
                gate += WORKGROUP;
            }
            long_dy += part_dy;
            long_dy_x += part_dy_x;
        }
        sum_dy += long_dy;
        sum_dy_x += long_dy_x;
    }
    return vec2<f32>(word_sum(sum_dy), word_sum(sum_dy_x));
}

// Of each slot that the lane takes in turns: its statistics, and the sums of some pieces and of all before
// them.
var<private> saveds: array<vec4<f32>, TURNS>;
var<private> part_sums: array<vec2<f32>, TURNS>;
var<private> all_sums: array<vec2<f32>, TURNS>;

// Goes through the slice piece by piece, each of them of all slots.
fn sum_pieces(slice: Slice, lane: u32) {
    for (var t = 0u; t < turns(); t++) {
        saveds[t] = state_at(saved_index(statistic_of(in_turn(slice, t).slot)));
    }
    var stride = stride_of(slice);
    var begin = slice.begin;
    while begin < slice.end {
        let part_end = pieces_end(begin, 32u, slice.end);
        while begin < part_end {
            let first = cursor_at(slice, begin + place_of(lane));
            stride.end = pieces_end(begin, 1u, part_end);
            for (var t = 0u; t < turns(); t++) {
                part_sums[t] += lane_sums(in_turn(slice, t).slot, cursor_in_turn(first, t), stride, saveds[t]);
            }
            begin = stride.end;
        }
        for (var t = 0u; t < turns(); t++) {
            all_sums[t] += part_sums[t];
            part_sums[t] = vec2<f32>(0.0);
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn backward_sums_rows(@builtin(workgroup_id) group_id: vec3<u32>, here: Invocation) {
    let lane = here.lane;
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let slice = slice_of(group, lane);
    gate = gate_index(group, lane);
    sum_pieces(slice, lane);
    for (var t = 0u; t < turns(); t++) {
        let sums = walkers_sum(all_sums[t], here);
        if leaves(lane) {
            // rstd is the slot's, so it leaves the sum.
            let partial = sums * vec2<f32>(1.0, saveds[t].z);
            set_sums(slot_partial(in_turn(slice, t).slot, slice.index), partial);
        }
    }
}
