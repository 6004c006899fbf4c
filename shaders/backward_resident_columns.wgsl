// A whole backward in one dispatch, for columns that fit a workgroup's registers: x and dy are read
// once. dx = gamma * rstd * (dy - dbeta / n - xhat * dgamma / n), or gamma * rstd * dy where the running
// statistics normalized. Derivation: src/derivation.md.
// Host half: src/kernels/backward_resident.rs. Lib: element_*, held_*, span_1, io_x*, io_dy*, io_dx,
// io_dresidual*, columns, workgroup, state, flags, slots, gains_*, offsets_*, corrections, centred, flow, word_where, gates_*,
// merge_tree, barrier_*.
//   x, dy, dx [rows][row_words]  read, read, written
//   dresidual [rows][row_words]  written where wanted
//   state                        saved statistics and gates read; partial sums written, see GROUPED
//   gamma [gains]                read where there is one
//   beta [gains]                 read where gates are computed from x
//   dgamma, dbeta [count]        written where wanted and no gain has several slots
// Grid: one workgroup per block of columns, which owns all rows of it.
@group(0) @binding(7) var<storage, read_write> dgamma: array<f32>;
@group(0) @binding(8) var<storage, read_write> dbeta: array<f32>;

// Words that share a word of gates.
const CHUNK: u32 = min(HELD, 8u);

fn write_parameters(slice: Slice, lane: u32) {
    for (var i = lane; i < merged_columns(); i += WORKGROUP) {
        if slice.first_column + i < params.count {
            let slot = slot_of(slice, slice.first_column + i);
            let sums = merge_scratch[i];
            let rd = saved_corrections(slot, state_at(saved_index(slot)));
            if has(GROUPED) {
                set_state(column_partial(slice, i), vec4<f32>(sums, 0.0, 0.0));
            }
            if has(WANT_DBETA) {
                dbeta[slot] = sums.x;
            }
            if has(WANT_DGAMMA) {
                dgamma[slot] = sums.y * rd.x + sums.x * rd.y;
            }
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn backward_resident_columns(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let slice = slice_of(group);
    let walk = walk_of(slice, lane);
    var ks: array<f32, 4>;
    var ds: array<f32, 4>;
    var rstds: array<f32, 4>;
    var scales: array<f32, 4>;
    var gate_scales: array<f32, 4>;
    var gate_shifts: array<f32, 4>;
    for (var c = 0u; c < WIDTH; c++) {
        let slot = slot_of(slice, walk.word * WIDTH + c);
        let saved = state_at(saved_index(slot));
        ks[c] = saved.x;
        ds[c] = saved.y;
        rstds[c] = saved.z;
        let affine = gate_affine(slot, saved);
        gate_scales[c] = affine.x;
        gate_shifts[c] = affine.y;
        scales[c] = saved.z * saved_corrections(slot, saved).x * gain(slot);
    }
    let k = word_from(ks);
    let d = word_from(ds);
    let rstd = word_from(rstds);
    let scale = word_from(scales);
    let gate_scale = word_from(gate_scales);
    let gate_shift = word_from(gate_shifts);
    var gate = gate_index(group, lane);
    var gates = 0u;

    // x - mean, and dy.
    var x: array<Word, HELD>;
    var dy: array<Word, HELD>;
    // Sums of a chunk stay apart from the total: that keeps the rounding of long sums small.
    var sum_dy = Word(0.0);
    var sum_dy_x = Word(0.0);
    var part_dy = Word(0.0);
    var part_dy_x = Word(0.0);
    for (var i = 0u; i < HELD; i++) {
        let exists = walk.row_begin + i * walk.row_step < walk.row_end;
        let word = word_of(walk, walk.row_begin, i);
        x[i] = less(load_x(word) - k, d);
        if i % CHUNK == 0u {
            gates = gate_bits(gate);
            gate += WORKGROUP;
        }
        let bits = gates >> (i % CHUNK * WIDTH);
        dy[i] = gated(load_dy(word), x[i], gate_scale, gate_shift, 0u, bits);
        part_dy += select(Word(0.0), dy[i], exists);
        part_dy_x += select(Word(0.0), dy[i] * x[i], exists);
        if i % CHUNK == CHUNK - 1u {
            sum_dy += part_dy;
            sum_dy_x += part_dy_x;
            part_dy = Word(0.0);
            part_dy_x = Word(0.0);
        }
    }
    let s = word_split(sum_dy);
    let q = word_split(sum_dy_x * rstd);
    if is_in_tile(walk, 0u) {
        for (var c = 0u; c < WIDTH; c++) {
            merge_scratch[tile_element(walk, 0u, c)] = vec2<f32>(s[c], q[c]);
        }
    }
    merge_lanes(lane);
    write_parameters(slice, lane);
    if !writes_words() {
        return;
    }

    // The means of dy and the slopes along x of statistics that were computed from it.
    var means: array<f32, 4>;
    var slopes: array<f32, 4>;
    if !has(USE_RUNNING) {
        for (var c = 0u; c < WIDTH; c++) {
            let sums = merge_scratch[merged_column(slice, walk.word, c)];
            means[c] = select(sums.x / params.n, 0.0, has(NO_MEAN));
            slopes[c] = rstds[c] * sums.y / params.n;
        }
    }
    let mean_dy = word_from(means);
    let slope = word_from(slopes);
    for (var i = 0u; i < HELD; i++) {
        if walk.row_begin + i * walk.row_step < walk.row_end {
            let word = word_of(walk, walk.row_begin, i);
            store_dresidual(word, dy[i]);
            if has(WANT_DX) {
                store_dx(word, scale * flow(dy[i], x[i], mean_dy, slope));
            }
        }
    }
}
