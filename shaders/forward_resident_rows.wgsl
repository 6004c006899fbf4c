// A whole training forward in one dispatch, for slots that fit a workgroup's registers: x is read once.
// y = ((x - K) - d) * rstd * gamma + beta.
// Host half: src/kernels/forward_resident.rs. Lib: element_*, held_*, io_x*, io_y, rows, rows_whole,
// rows_held, workgroup, state, flags, slots, gains_*, offsets_*, running, renorm, moments, statistics,
// reduce_*, barrier_*.
//   x, y [outer][count][inner]  read and written
//   state                       saved statistics written
//   gamma, beta [gains]         read where there are any
//   running_mean, running_var   [count] read or moved
//   tracked [1]                 num_batches_tracked, counted up here
// Grid: one workgroup for WORKGROUP / lanes slots at a time, so many times as there are turns.
@group(0) @binding(9) var<storage, read_write> tracked: array<u32>;

// Any value of the slot; 0 where no mean is subtracted.
fn pivot_base(word: Word) -> f32 {
    if has(NO_MEAN) {
        return 0.0;
    }
    return word_split(word)[0];
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
    var gains: array<Word, HELD>;
    var offsets: array<Word, HELD>;
    if ELEMENT_GAINS {
        for (var i = 0u; i < HELD; i++) {
            gains[i] = gained(Word(1.0), gain_word(lane, i));
        }
        for (var i = 0u; i < HELD; i++) {
            offsets[i] = offset_by(Word(0.0), gain_word(lane, i));
        }
    }
    for (var turn = 0u; turn < params.turns; turn++) {
        let slice = shared_slot(group, turn, lane);
        let held = held_of(slice, lane);
        var x: array<Word, HELD>;
        for (var i = 0u; i < HELD; i++) {
            x[i] = load_x(held_word(held, i));
        }

        // The mean as far as one f32 can name it is the pivot; it is first found from any element.
        let base = pivot_base(load_x(word_of(cursor_at(slice, 0u))));
        var s = Word(0.0);
        for (var i = 0u; i < HELD; i++) {
            s += select(Word(0.0), x[i] - base, is_held(held, i));
        }
        let about = lanes_sum(vec2<f32>(word_sum(s), 0.0), here, params.lanes).x;
        let k = base + mean_offset(about, params.n);
        s = Word(0.0);
        var q = Word(0.0);
        for (var i = 0u; i < HELD; i++) {
            x[i] -= k;
            let d = select(Word(0.0), x[i], is_held(held, i));
            s += d;
            q += d * d;
        }
        let sums = lanes_sum(vec2<f32>(word_sum(s), word_sum(q)), here, params.lanes);
        let moment = finished(vec4<f32>(params.n, k, sums));
        let leaves = held.run == 0u && held.end > 0u;
        let statistics = slot_statistics(slice.slot, moment, leaves);

        let d = (statistics.saved.x - k) + statistics.saved.y;
        let scale = statistics.saved.z * statistics.rd.x * gain(slice.slot);
        let shift = statistics.rd.y * gain(slice.slot) + offset(slice.slot);
        for (var i = 0u; i < HELD; i++) {
            x[i] = (x[i] - d) * scale + shift;
        }
        if ELEMENT_GAINS {
            for (var i = 0u; i < HELD; i++) {
                x[i] = x[i] * gains[i] + offsets[i];
            }
        }
        for (var i = 0u; i < HELD; i++) {
            if is_held(held, i) {
                store_y(held_word(held, i), x[i]);
            }
        }
    }
    if group == 0u && lane == 0u && has(HAS_TRACKED) {
        tracked[0] += 1u;
    }
}
