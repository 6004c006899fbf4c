// First dispatch of a training forward, split rows: one moment per slice.
// Host half: src/kernels/moments.rs. Lib: element_*, io_x*, rows, rows_*, workgroup, state, flags,
// slots, running, corrections, rows_pivot, moments, statistics, word_where,
// mask*, reduce_*, barrier_*, lanes_*, turns_*.
//   x [outer][count][inner]    read
//   state                      partial moments written; header and saved statistics, see below
//   running_mean, running_var  [count] read where the step normalizes by them or towards them
//   tracked [1]                num_batches_tracked, valid_n up here
// Grid: one workgroup per slice, slices of a slot beside each other; of as many slots as it walks along.
// The lanes of a slice share one pivot, so their plain sums add up without a merge.
@group(0) @binding(9) var<storage, read_write> tracked: array<u32>;

// (s, q) of this lane's words, and how many valid elements they have. Sums of 32 words, and of 32 such sums,
// stay apart from the total: that keeps the rounding of long sums small.
fn lane_sums(slot: u32, first: Cursor, walk: Stride, k: f32) -> vec3<f32> {
    var n = Word(0.0);
    var s = Word(0.0);
    var q = Word(0.0);
    var stride = walk;
    var c0 = first;
    while c0.at < walk.end {
        let long_end = min(c0.at + 1024u * walkers(), walk.end);
        var long_s = Word(0.0);
        var long_q = Word(0.0);
        while c0.at < long_end {
            stride.end = min(c0.at + 32u * walkers(), long_end);
            var part_s = Word(0.0);
            var part_q = Word(0.0);
            while c0.at < stride.end {
                let c1 = advance(c0, stride);
                let c2 = advance(c1, stride);
                let c3 = advance(c2, stride);
                let i0 = word_of(c0);
                let x0 = load_x(i0);
                let x1 = load_x(select(i0, word_of(c1), c1.at < stride.end));
                let x2 = load_x(select(i0, word_of(c2), c2.at < stride.end));
                let x3 = load_x(select(i0, word_of(c3), c3.at < stride.end));
                let m0 = read_mask(c0, slot);
                let m1 = read_mask(c1, slot);
                let m2 = read_mask(c2, slot);
                let m3 = read_mask(c3, slot);
                let d0 = valid(members(x0 - k, c0, stride), m0);
                let d1 = valid(members(x1 - k, c1, stride), m1);
                let d2 = valid(members(x2 - k, c2, stride), m2);
                let d3 = valid(members(x3 - k, c3, stride), m3);
                if has(MASKED) {
                    let one = Word(1.0);
                    n += valid(members(one, c0, stride), m0) + valid(members(one, c1, stride), m1);
                    n += valid(members(one, c2, stride), m2) + valid(members(one, c3, stride), m3);
                }
                part_s += (d0 + d1) + (d2 + d3);
                part_q += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);
                c0 = advance(c3, stride);
            }
            long_s += part_s;
            long_q += part_q;
        }
        s += long_s;
        q += long_q;
    }
    return vec3<f32>(word_sum(s), word_sum(q), word_sum(n));
}

// Of each slot that the lane takes in turns: the pivot, and the sums of some pieces and of all before them.
var<private> pivots: array<f32, TURNS>;
var<private> part_sums: array<vec3<f32>, TURNS>;
var<private> all_sums: array<vec3<f32>, TURNS>;

// Goes through the slice piece by piece, each of them of all slots.
fn sum_pieces(slice: Slice, lane: u32) {
    for (var t = 0u; t < turns(); t++) {
        pivots[t] = slice_pivot(in_turn(slice, t));
    }
    var stride = stride_of(slice);
    var begin = slice.begin;
    while begin < slice.end {
        let part_end = pieces_end(begin, 32u, slice.end);
        while begin < part_end {
            let first = cursor_at(slice, begin + place_of(lane));
            stride.end = pieces_end(begin, 1u, part_end);
            for (var t = 0u; t < turns(); t++) {
                part_sums[t] += lane_sums(in_turn(slice, t).slot, cursor_in_turn(first, t), stride, pivots[t]);
            }
            begin = stride.end;
        }
        for (var t = 0u; t < turns(); t++) {
            all_sums[t] += part_sums[t];
            part_sums[t] = vec3<f32>(0.0);
        }
    }
}

// Leaves the partial of the slot of a turn.
fn leave_moment(slice: Slice, turn: u32, here: Invocation) {
    let own = all_sums[turn];
    let sums = walkers_sum(own.xy, here);
    var valid_n = 0.0;
    if has(MASKED) {
        valid_n = walkers_sum(vec2<f32>(own.z, 0.0), here).x;
    }
    if !leaves(here.lane) {
        return;
    }
    var n = params.n;
    if !has(ONE_PARTIAL) {
        n = f32(elements_before(slice, slice.end) - elements_before(slice, slice.begin));
    }
    if has(MASKED) {
        n = valid_n;
    }
    set_state(slot_partial(slice.slot, slice.index), vec4<f32>(n, pivots[turn], sums.x, sums.y));
    if slice.index == 0u {
        keep_running(slice.slot);
    }
}

@compute @workgroup_size(WORKGROUP)
fn moments_rows(@builtin(workgroup_id) group_id: vec3<u32>, here: Invocation) {
    let lane = here.lane;
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let slice = slice_of(group, lane);
    sum_pieces(slice, lane);
    for (var t = 0u; t < turns(); t++) {
        leave_moment(in_turn(slice, t), t, here);
    }
    if group == 0u && lane == 0u && has(HAS_TRACKED) {
        let count = tracked[0] + 1u;
        tracked[0] = count;
        set_state(0u, vec4<f32>(f32(count), 0.0, 0.0, 0.0));
    }
}
