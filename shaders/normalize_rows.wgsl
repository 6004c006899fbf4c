// Second dispatch of a training forward and the only one of inference, split rows:
// y = ((x - K) - d) * rstd * gamma + beta.
// Host half: src/kernels/normalize.rs. Lib: element_*, io_x*, io_y, rows, workgroup, state, flags,
// running, moments, partial_moments, statistics, reduce_*.
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
fn merge_slot(slot: u32, lane: u32) -> vec4<f32> {
    let k = slot_pivot(slot);
    let sum = share_of_moments(slot, lane, WORKGROUP, k, 0.0, false);
    let d = workgroup_sum(vec2<f32>(sum, 0.0), lane).x / params.n;
    let m2 = share_of_moments(slot, lane, WORKGROUP, k, d, true);
    return vec4<f32>(params.n, k, d, workgroup_sum(vec2<f32>(m2, 0.0), lane).x);
}

// The statistics of this slot; the workgroup of its first slice also saves and moves them.
fn slot_statistics(slice: Slice, lane: u32) -> vec4<f32> {
    var statistics: vec4<f32>;
    var moment: vec4<f32>;
    let merges = !has(USE_RUNNING) || (has(UPDATE_RUNNING) && slice.index == 0u);
    if merges {
        moment = merge_slot(slice.slot, lane);
    }
    if !has(USE_RUNNING) {
        statistics = statistics_of(moment);
    } else if has(UPDATE_RUNNING) {
        statistics = state[saved_index(slice.slot)];
    } else {
        statistics = running_statistics(slice.slot);
    }
    if slice.index == 0u && lane == 0u {
        if has(SAVE) {
            state[saved_index(slice.slot)] = statistics;
        }
        if has(UPDATE_RUNNING) {
            update_running(slice.slot, moment);
        }
    }
    return statistics;
}

@compute @workgroup_size(WORKGROUP)
fn normalize_rows(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let slice = slice_of(params.groups - 1u - group);
    let walk = walk_of(lane, slice);
    let statistics = slot_statistics(slice, lane);
    let k = statistics.x;
    let d = statistics.y;
    var scale = statistics.z;
    var shift = 0.0;
    if has(HAS_GAMMA) {
        scale *= gamma[slice.slot];
    }
    if has(HAS_BETA) {
        shift = beta[slice.slot];
    }
    for (var row = walk.first_row; row < slice.row_end; row += walk.row_step) {
        let base = row_base(slice.slot, row);
        for (var i = walk.first_word; i < slice.word_end; i += 4u * walk.lanes) {
            let i1 = i + walk.lanes;
            let i2 = i1 + walk.lanes;
            let i3 = i2 + walk.lanes;
            let x0 = load_x(base + i);
            let x1 = load_x(base + within(i1, i, slice));
            let x2 = load_x(base + within(i2, i, slice));
            let x3 = load_x(base + within(i3, i, slice));
            store_y(base + i, ((x0 - k) - d) * scale + shift);
            if i1 < slice.word_end {
                store_y(base + i1, ((x1 - k) - d) * scale + shift);
            }
            if i2 < slice.word_end {
                store_y(base + i2, ((x2 - k) - d) * scale + shift);
            }
            if i3 < slice.word_end {
                store_y(base + i3, ((x3 - k) - d) * scale + shift);
            }
        }
    }
}
