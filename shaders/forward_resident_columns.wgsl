// A whole training forward in one dispatch, for columns that fit a workgroup's registers: x is read
// once. y = act(((x - K) - d) * rstd * gamma + beta + residual).
// Host half: src/kernels/forward_resident.rs. Lib: element_*, held_*, span_1, io_x*, io_y, io_residual*,
// columns, columns_pivot, workgroup, state, flags, slots, gains_slot, offsets_slot, running, corrections, centred,
// moments, statistics, gates_index, tail, tracked*, word_where, mask*, merge_tree, barrier_*.
//   x, y [rows][row_words]      read and written
//   residual [rows][row_words]  read where there is one
//   state                       saved statistics and gates written
//   gamma, beta [gains]         read where there are any
//   running_mean, running_var   [count] read or moved
//   tracked [1]                 num_batches_tracked, counted up here where no residual is bound
// Grid: one workgroup per block of columns, which owns all rows of it.
// Words that share a word of gates.
const CHUNK: u32 = min(HELD, 8u);

// What is done to the elements of each merged column goes to where its sums and pivot were: (d from the
// pivot, scale), and the shift. The block's channels are saved and moved.
fn finish_columns(slice: Slice, lane: u32) {
    for (var i = lane; i < merged_columns(); i += WORKGROUP) {
        if slice.first_column + i < params.count {
            let slot = slot_of(slice, slice.first_column + i);
            let k = pivots[i];
            let moment = finished(vec4<f32>(params.n, k, merge_scratch[i]));
            keep_running(slot);
            var statistics = statistics_of(moment);
            if has(USE_RUNNING) {
                statistics = running_statistics(slot);
            }
            set_state(saved_index(slot), statistics);
            let rd = saved_corrections(slot, statistics);
            if has(UPDATE_RUNNING) {
                update_running(slot, moment);
            }
            let d = select(statistics.y, statistics.x, has(USE_RUNNING));
            merge_scratch[i] = vec2<f32>(d, statistics.z * rd.x * gain(slot));
            pivots[i] = rd.y * gain(slot) + offset(slot);
        }
    }
    sync();
}

@compute @workgroup_size(WORKGROUP)
fn forward_resident_columns(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let slice = slice_of(group);
    let walk = walk_of(slice, lane);
    find_pivots(slice, lane);
    var ks: array<f32, 4>;
    for (var c = 0u; c < WIDTH; c++) {
        ks[c] = pivots[merged_column(slice, walk.word, c)];
    }
    let k = word_from(ks);

    var x: array<Word, HELD>;
    // Sums of a chunk stay apart from the total: that keeps the rounding of long sums small.
    var s = Word(0.0);
    var q = Word(0.0);
    var part_s = Word(0.0);
    var part_q = Word(0.0);
    for (var i = 0u; i < HELD; i++) {
        x[i] = load_x(word_of(walk, walk.row_begin, i)) - k;
        let d = select(Word(0.0), x[i], walk.row_begin + i * walk.row_step < walk.row_end);
        part_s += d;
        part_q += d * d;
        if i % CHUNK == CHUNK - 1u {
            s += part_s;
            q += part_q;
            part_s = Word(0.0);
            part_q = Word(0.0);
        }
    }
    let ss = word_split(s);
    let qs = word_split(q);
    if is_in_tile(walk, 0u) {
        for (var c = 0u; c < WIDTH; c++) {
            merge_scratch[tile_element(walk, 0u, c)] = vec2<f32>(ss[c], qs[c]);
        }
    }
    merge_lanes(lane);
    finish_columns(slice, lane);

    var ds: array<f32, 4>;
    var scales: array<f32, 4>;
    var shifts: array<f32, 4>;
    for (var c = 0u; c < WIDTH; c++) {
        let column = merged_column(slice, walk.word, c);
        ds[c] = merge_scratch[column].x;
        scales[c] = merge_scratch[column].y;
        shifts[c] = pivots[column];
    }
    let d = word_from(ds);
    let scale = word_from(scales);
    let shift = word_from(shifts);
    var gate = gate_index(group, lane);
    var gates = 0u;
    for (var i = 0u; i < HELD; i++) {
        let word = word_of(walk, walk.row_begin, i);
        var centred = less(x[i], d);
        if has(USE_RUNNING) {
            // A pivot among outliers may lie far from the running mean.
            centred = load_x(word) - d;
        }
        let y = tailed(centred * scale + shift, load_residual(word));
        if walk.row_begin + i * walk.row_step < walk.row_end {
            store_y(word, y);
        }
        if has(GATED) {
            gates |= gate_of(y) << (i % CHUNK * WIDTH);
            if i % CHUNK == CHUNK - 1u {
                state[gate] = gates;
                gate += WORKGROUP;
                gates = 0u;
            }
        }
    }
    if group == 0u && lane == 0u {
        count_batch();
    }
}
