// Second dispatch of a training forward and the only one of inference, split rows:
// y = ((x - K) - d) * rstd * gamma + beta.
// Host half: src/kernels/normalize.rs. Lib: element_*, io_x*, io_y, rows, rows_*, workgroup, state,
// flags, running, moments, partial_moments, statistics, reduce_*, barrier_*.
//   x, y [outer][count][inner]  read and written
//   state                       partial moments read, saved statistics written; see SAVE
//   gamma, beta [count]         read where there are any
//   running_mean, running_var   [count] read or moved
// Grid: one workgroup per slice, last slice first: what the first dispatch read last is still in
// cache. Each workgroup merges its slot's few partials itself, which saves a third launch.
@group(0) @binding(5) var<storage, read_write> gamma: array<f32>;
@group(0) @binding(6) var<storage, read_write> beta: array<f32>;

// Merges the slot's partials around one pivot: their sums give the mean, and only then their squares
// are taken from it.
fn merge_slot(slot: u32, here: Invocation) -> vec4<f32> {
    if has(ONE_PARTIAL) {
        return finished(state[slot_partial(slot, 0u)]);
    }
    let k = slot_pivot(slot);
    let sum = share_of_moments(slot, here.lane, WORKGROUP, k, 0.0, false);
    let d = workgroup_sum(vec2<f32>(sum, 0.0), here).x / params.n;
    let m2 = share_of_moments(slot, here.lane, WORKGROUP, k, d, true);
    return vec4<f32>(params.n, k, d, workgroup_sum(vec2<f32>(m2, 0.0), here).x);
}

// The statistics of a slot; the one workgroup that `owns` it also saves and moves them.
fn slot_statistics(slot: u32, owns: bool, here: Invocation) -> vec4<f32> {
    var statistics: vec4<f32>;
    var moment: vec4<f32>;
    if !has(USE_RUNNING) || (has(UPDATE_RUNNING) && owns) {
        moment = merge_slot(slot, here);
    }
    if !has(USE_RUNNING) {
        statistics = statistics_of(moment);
    } else if has(UPDATE_RUNNING) {
        statistics = state[saved_index(slot)];
    } else {
        statistics = running_statistics(slot);
    }
    if owns && here.lane == 0u {
        if has(SAVE) {
            state[saved_index(slot)] = statistics;
        }
        if has(UPDATE_RUNNING) {
            update_running(slot, moment);
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
    let statistics = slot_statistics(slot, owns, here);
    var scale = statistics.z;
    var shift = 0.0;
    if has(HAS_GAMMA) {
        scale *= gamma[slot];
    }
    if has(HAS_BETA) {
        shift = beta[slot];
    }
    return Affine(statistics.x, statistics.y, scale, shift);
}

fn normalized(x: Word, own: Affine, next: Affine, c: Cursor, stride: Stride) -> Word {
    let k = spread(own.k, next.k, c, stride);
    let d = spread(own.d, next.d, c, stride);
    return ((x - k) - d) * spread(own.scale, next.scale, c, stride) + spread(own.shift, next.shift, c, stride);
}

@compute @workgroup_size(WORKGROUP)
fn normalize_rows(@builtin(workgroup_id) group_id: vec3<u32>, here: Invocation) {
    let lane = here.lane;
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let slice = slice_of(params.groups - 1u - group);
    let own = affine_of(slice.slot, slice.index == 0u, here);
    var next = own;
    if STRADDLES {
        next = affine_of((slice.slot + 1u) % params.count, false, here);
    }
    let stride = stride_of(slice);
    let end = stride.end;
    var c0 = cursor_at(slice, slice.begin + lane);
    while c0.at < end {
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
        if writes(c0, stride) {
            store_y(i0, normalized(x0, own, next, c0, stride));
        }
        if writes(c1, stride) {
            store_y(i1, normalized(x1, own, next, c1, stride));
        }
        if writes(c2, stride) {
            store_y(i2, normalized(x2, own, next, c2, stride));
        }
        if writes(c3, stride) {
            store_y(i3, normalized(x3, own, next, c3, stride));
        }
        c0 = advance(c3, stride);
    }
}
