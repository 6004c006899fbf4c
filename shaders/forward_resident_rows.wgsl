// A whole training forward in one dispatch, for slots that fit a workgroup's registers: x is read once.
// y = ((x - K) - d) * rstd * gamma + beta.
// Host half: src/kernels/forward_resident.rs. Lib: element_*, held_*, io_x*, io_y, rows, rows_whole,
// rows_pivot, workgroup, state, flags, slots, gains_*, offsets_*, running, renorm, moments, statistics,
// reduce_*, barrier_*.
//   x, y [outer][count][inner]  read and written
//   state                       saved statistics written
//   gamma, beta [gains]         read where there are any
//   running_mean, running_var   [count] read or moved
//   tracked [1]                 num_batches_tracked, counted up here
// Grid: one workgroup for WORKGROUP / lanes slots.
@group(0) @binding(9) var<storage, read_write> tracked: array<u32>;

// The statistics of the slot and their corrections, which the first lane that shares it saves and
// moves.
struct Statistics {
    saved: vec4<f32>,
    rd: vec2<f32>,
}

fn slot_statistics(slot: u32, moment: vec4<f32>, saves: bool) -> Statistics {
    var statistics = statistics_of(moment);
    var old = vec2<f32>(0.0);
    if has(RENORM) {
        old = vec2<f32>(running_mean[slot], running_var[slot]);
    }
    if has(USE_RUNNING) {
        statistics = running_statistics(slot);
    }
    if has(USE_RUNNING) || has(RENORM) {
        // Every lane has read the running values before one moves them.
        sync();
    }
    if saves {
        state[saved_index(slot)] = statistics;
        if has(RENORM) {
            state[renorm_index(slot)] = vec4<f32>(old, 0.0, 0.0);
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
    let slice = shared_slot(group, lane);
    let stride = stride_of(slice);
    let run = lane & (stride.lanes - 1u);
    let k = slice_pivot(slice);
    let first = cursor_at(slice, run);
    let any = word_of(cursor_at(slice, 0u));

    var x: array<Word, HELD>;
    var s = Word(0.0);
    var q = Word(0.0);
    var c = first;
    for (var i = 0u; i < HELD; i++) {
        x[i] = load_x(select(any, word_of(c), c.at < stride.end)) - k;
        let d = members(x[i], c, stride);
        s += d;
        q += d * d;
        c = advance(c, stride);
    }
    let sums = lanes_sum(vec2<f32>(word_sum(s), word_sum(q)), here, params.lanes);
    let moment = finished(vec4<f32>(params.n, k, sums));
    let statistics = slot_statistics(slice.slot, moment, run == 0u && slice.end > 0u);

    let d = (statistics.saved.x - k) + statistics.saved.y;
    let scale = statistics.saved.z * statistics.rd.x * gain(slice.slot);
    let shift = statistics.rd.y * gain(slice.slot) + offset(slice.slot);
    c = first;
    for (var i = 0u; i < HELD; i++) {
        if c.at < stride.end {
            store_y(word_of(c), offset_by(gained((x[i] - d) * scale, c.word) + shift, c.word));
        }
        c = advance(c, stride);
    }
    if group == 0u && lane == 0u && has(HAS_TRACKED) {
        tracked[0] += 1u;
    }
}
