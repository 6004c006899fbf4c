// A whole backward in one dispatch, for slots that fit a workgroup's registers: x and dy are read once.
// dx = gamma * rstd * (dy - dbeta / n - xhat * dgamma / n), or gamma * rstd * dy where the running
// statistics normalized. Derivation: src/derivation.md.
// Host half: src/kernels/backward_resident.rs. Lib: element_*, held_*, io_x*, io_dy*, io_dx, rows,
// rows_whole, workgroup, state, flags, slots, gains_*, renorm, reduce_*, barrier_*.
//   x, dy, dx [outer][count][inner]  read, read, written
//   state                            saved statistics read; partial sums written, see GROUPED
//   gamma [gains]                    read where there is one
//   dgamma, dbeta [count]            written where wanted and no gain has several slots
// Grid: one workgroup for WORKGROUP / lanes slots.
@group(0) @binding(6) var<storage, read_write> dgamma: array<f32>;
@group(0) @binding(7) var<storage, read_write> dbeta: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn backward_resident_rows(@builtin(workgroup_id) group_id: vec3<u32>, here: Invocation) {
    let lane = here.lane;
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let slice = shared_slot(group, lane);
    let stride = stride_of(slice);
    let run = lane & (stride.lanes - 1u);
    let first = cursor_at(slice, run);
    let any = word_of(cursor_at(slice, 0u));
    let saved = state[saved_index(slice.slot)];
    let rd = saved_corrections(slice.slot, saved);

    // x - mean, and dy.
    var x: array<Word, HELD>;
    var dy: array<Word, HELD>;
    var sum_dy = Word(0.0);
    var sum_dy_x = Word(0.0);
    var c = first;
    for (var i = 0u; i < HELD; i++) {
        let word = select(any, word_of(c), c.at < stride.end);
        x[i] = (load_x(word) - saved.x) - saved.y;
        dy[i] = gained(load_dy(word), c.word);
        sum_dy += members(dy[i], c, stride);
        sum_dy_x += members(dy[i] * x[i], c, stride);
        c = advance(c, stride);
    }
    var sums = lanes_sum(vec2<f32>(word_sum(sum_dy), word_sum(sum_dy_x)), here, params.lanes);
    sums.y *= saved.z;
    if run == 0u && slice.end > 0u {
        if has(GROUPED) {
            state[slot_partial(slice.slot, 0u)] = vec4<f32>(sums, 0.0, 0.0);
        }
        if has(WANT_DBETA) {
            dbeta[slice.slot] = sums.x;
        }
        if has(WANT_DGAMMA) {
            dgamma[slice.slot] = sums.y * rd.x + sums.x * rd.y;
        }
    }
    let scale = saved.z * rd.x * gain(slice.slot);
    // Nothing flows through statistics that were not computed from x.
    let from_batch = select(1.0, 0.0, has(USE_RUNNING));
    let from_mean = select(from_batch, 0.0, has(NO_MEAN));
    let mean_dy = from_mean * sums.x / params.n;
    let slope = from_batch * saved.z * sums.y / params.n;
    c = first;
    for (var i = 0u; i < HELD; i++) {
        if c.at < stride.end && has(WANT_DX) {
            store_dx(word_of(c), scale * ((dy[i] - mean_dy) - x[i] * slope));
        }
        c = advance(c, stride);
    }
}
