// A whole backward in one dispatch, for slots that fit a workgroup's registers: x and dy are read once.
// dx = gamma * rstd * (dy - dbeta / n - xhat * dgamma / n), or gamma * rstd * dy where the running
// statistics normalized. Derivation: src/derivation.md.
// Host half: src/kernels/backward_resident.rs. Lib: element_*, held_*, io_x*, io_dy*, io_dx, rows,
// rows_whole, rows_held, workgroup, state, flags, slots, gains_*, renorm, reduce_*, barrier_*.
//   x, dy, dx [outer][count][inner]  read, read, written
//   state                            saved statistics read; partial sums written, see GROUPED
//   gamma [gains]                    read where there is one
//   dgamma, dbeta [count]            written where wanted and no gain has several slots
// Grid: one workgroup for WORKGROUP / lanes slots at a time, so many times as there are turns.
@group(0) @binding(6) var<storage, read_write> dgamma: array<f32>;
@group(0) @binding(7) var<storage, read_write> dbeta: array<f32>;

// What is done to the gradients of a slot.
struct Gradient {
    scale: f32,
    mean_dy: f32,
    slope: f32,
}

// It takes the sums of dy and dy * xhat, which the first lane that shares the slot leaves.
fn gradient_of(slot: u32, saved: vec4<f32>, sums: vec2<f32>, leaves: bool) -> Gradient {
    let rd = saved_corrections(slot, saved);
    if leaves {
        if has(GROUPED) {
            state[slot_partial(slot, 0u)] = vec4<f32>(sums, 0.0, 0.0);
        }
        if has(WANT_DBETA) {
            dbeta[slot] = sums.x;
        }
        if has(WANT_DGAMMA) {
            dgamma[slot] = sums.y * rd.x + sums.x * rd.y;
        }
    }
    // Nothing flows through statistics that were not computed from x.
    let from_batch = select(1.0, 0.0, has(USE_RUNNING));
    let from_mean = select(from_batch, 0.0, has(NO_MEAN));
    return Gradient(
        saved.z * rd.x * gain(slot),
        from_mean * sums.x / params.n,
        from_batch * saved.z * sums.y / params.n,
    );
}

@compute @workgroup_size(WORKGROUP)
fn backward_resident_rows(@builtin(workgroup_id) group_id: vec3<u32>, here: Invocation) {
    let lane = here.lane;
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    var gains: array<Word, HELD>;
    if ELEMENT_GAINS {
        for (var i = 0u; i < HELD; i++) {
            gains[i] = gained(Word(1.0), gain_word(lane, i));
        }
    }
    for (var turn = 0u; turn < params.turns; turn++) {
        let slice = shared_slot(group, turn, lane);
        let held = held_of(slice, lane);
        let saved = state[saved_index(slice.slot)];

        // x - mean, and dy.
        var x: array<Word, HELD>;
        var dy: array<Word, HELD>;
        for (var i = 0u; i < HELD; i++) {
            x[i] = (load_x(held_word(held, i)) - saved.x) - saved.y;
        }
        for (var i = 0u; i < HELD; i++) {
            dy[i] = load_dy(held_word(held, i));
            if ELEMENT_GAINS {
                dy[i] *= gains[i];
            }
        }
        var sum_dy = Word(0.0);
        var sum_dy_x = Word(0.0);
        for (var i = 0u; i < HELD; i++) {
            let own = select(Word(0.0), dy[i], is_held(held, i));
            sum_dy += own;
            sum_dy_x += own * x[i];
        }
        var sums = lanes_sum(vec2<f32>(word_sum(sum_dy), word_sum(sum_dy_x)), here, params.lanes);
        sums.y *= saved.z;
        let g = gradient_of(slice.slot, saved, sums, held.run == 0u && held.end > 0u);
        if has(WANT_DX) {
            for (var i = 0u; i < HELD; i++) {
                x[i] = g.scale * ((dy[i] - g.mean_dy) - x[i] * g.slope);
            }
            for (var i = 0u; i < HELD; i++) {
                if is_held(held, i) {
                    store_dx(held_word(held, i), x[i]);
                }
            }
        }
    }
}
