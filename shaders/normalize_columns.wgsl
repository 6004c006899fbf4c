// Second dispatch of a training forward and the only one of inference, split columns:
// y = act(((x - K) - d) * rstd * gamma + beta + residual).
// Host half: src/kernels/normalize.rs. Lib: element_*, span_*, io_x*, io_y, io_residual*, columns, workgroup,
// state, flags, slots, gains_slot, offsets_slot, running, corrections, centred, moments, partial_moments, statistics,
// gates_index, tail, word_where, mask*, merge_tree, barrier_*.
//   x, y [rows][row_words]     read and written
//   residual [rows][row_words]  read where there is one
//   state                      partial moments read, saved statistics written; see SAVE, SAVED; gates written
//   gamma, beta [gains]        read where there are any
//   running_mean, running_var  [count] read or moved
// Grid: one workgroup per block of columns and slice of rows, last slice first: what the first
// dispatch read last is still in cache. Each workgroup merges its channels' partials itself.
var<workgroup> pivots: array<f32, TILE>;

// Merges the partials of every merged column around one pivot, which goes to `pivots`; merge_scratch
// gets (M2, d). The sums give the mean, and only then the squares are taken from it.
fn merge_partials(slice: Slice, lane: u32) {
    let columns = merged_columns();
    let ways = merge_ways();
    if has(ONE_PARTIAL) {
        for (var i = lane; i < columns; i += WORKGROUP) {
            let c = statistic_of(slot_of(slice, slice.first_column + i));
            let moment = finished(state_at(statistic_partial(c, 0u)));
            pivots[i] = moment.y;
            merge_scratch[i] = vec2<f32>(moment.w, moment.z);
        }
        sync();
        return;
    }
    for (var i = lane; i < columns; i += WORKGROUP) {
        pivots[i] = statistic_pivot(statistic_of(slot_of(slice, slice.first_column + i)));
    }
    sync();
    let first = first_entry(lane, columns);
    let step = entry_step(columns);
    for (var e = first; e.i < ways * columns; e = next_entry(e, step)) {
        let c = statistic_of(slot_of(slice, slice.first_column + e.column));
        let sum = share_of_moments(c, e.way, ways, pivots[e.column], 0.0, false);
        merge_scratch[e.i] = vec2<f32>(sum, 0.0);
    }
    merge_tree(ways, columns, lane);
    // A lane has at most ENTRIES of the scratch; d leaves it before M2 comes in.
    var ds: array<f32, ENTRIES>;
    var e = first;
    for (var j = 0u; j < ENTRIES; j++) {
        ds[j] = mean_offset(merge_scratch[e.column].x, params.n);
        e = next_entry(e, step);
    }
    sync();
    e = first;
    for (var j = 0u; j < ENTRIES; j++) {
        if e.i < ways * columns {
            let c = statistic_of(slot_of(slice, slice.first_column + e.column));
            let m2 = share_of_moments(c, e.way, ways, pivots[e.column], ds[j], true);
            // The tree adds the d of the first copy to nothing but zeros.
            merge_scratch[e.i] = vec2<f32>(m2, select(0.0, ds[j], e.i < columns));
        }
        e = next_entry(e, step);
    }
    merge_tree(ways, columns, lane);
}

fn merged_moment(column: u32) -> vec4<f32> {
    let merged = merge_scratch[column];
    return vec4<f32>(params.n, pivots[column], merged.y, merged.x);
}

// The first slice's workgroups save the statistics of their columns and move the running ones.
fn finish_columns(slice: Slice, lane: u32) {
    for (var i = lane; i < merged_columns(); i += WORKGROUP) {
        let column = slice.first_column + i;
        if column < params.count && leads(slot_of(slice, column)) {
            let c = statistic_of(slot_of(slice, column));
            if has(SAVE) {
                set_state(saved_index(c), column_statistics(c, i));
            }
            if has(UPDATE_RUNNING) {
                update_running(c, merged_moment(i));
            }
        }
    }
}

// The statistics that c names, which are those of a merged column.
fn column_statistics(c: u32, column: u32) -> vec4<f32> {
    if has(SAVED) {
        return state_at(saved_index(c));
    }
    if !has(USE_RUNNING) {
        return statistics_of(merged_moment(column));
    }
    if has(UPDATE_RUNNING) {
        return state_at(saved_index(c));
    }
    return running_statistics(c);
}

// What is done to one word of every row.
struct Affine {
    k: Word,
    d: Word,
    scale: Word,
    shift: Word,
}

fn affine_of(slice: Slice, word: u32) -> Affine {
    var k: array<f32, 4>;
    var d: array<f32, 4>;
    var scale: array<f32, 4>;
    var shift: array<f32, 4>;
    for (var c = 0u; c < WIDTH; c++) {
        let slot = slot_of(slice, word * WIDTH + c);
        let statistic = statistic_of(slot);
        let statistics = column_statistics(statistic, merged_column(slice, word, c));
        let rd = saved_corrections(statistic, statistics);
        k[c] = statistics.x;
        d[c] = statistics.y;
        scale[c] = statistics.z * rd.x * gain(slot);
        shift[c] = rd.y * gain(slot) + offset(slot);
    }
    return Affine(word_from(k), word_from(d), word_from(scale), word_from(shift));
}

// Writes four of the words that a lane reads at once: software drivers unroll no longer loops.
fn write_words(
    walk: Walk,
    row: u32,
    four: u32,
    affine: ptr<function, array<Affine, SPAN>>,
    gates: ptr<function, array<u32, SPAN>>,
    gate_shift: u32,
) {
    let begin = min(4u * four, ROWS * SPAN);
    let end = min(begin + 4u, ROWS * SPAN);
    var x: array<Word, 4>;
    var residuals: array<Word, 4>;
    for (var i = begin; i < end; i++) {
        x[i - begin] = load_x(word_of(walk, row, i));
        residuals[i - begin] = load_residual(word_of(walk, row, i));
    }
    for (var i = begin; i < end; i++) {
        let a = (*affine)[i % SPAN];
        let normalized = less(x[i - begin] - a.k, a.d) * a.scale + a.shift;
        let v = tailed(normalized, residuals[i - begin]);
        let y = valid(v, row_mask(walk, row_of(walk, row, i), i % SPAN));
        if has_word(walk, i % SPAN) {
            store_y(word_of(walk, row, i), y);
        }
        if has(GATED) {
            (*gates)[i % SPAN] |= gate_of(y) << (gate_shift + i / SPAN * WIDTH);
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn normalize_columns(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let mirrored = params.groups - 1u - group;
    let slice = slice_of(mirrored);
    let merges = !has(USE_RUNNING) || (has(UPDATE_RUNNING) && slice.index == 0u);
    if merges && !has(SAVED) {
        merge_partials(slice, lane);
    }
    if slice.index == 0u {
        finish_columns(slice, lane);
    }
    let walk = walk_of(slice, lane);
    find_copies(walk);
    if walk.row_begin >= walk.row_end {
        return;
    }
    var affine: array<Affine, SPAN>;
    for (var j = 0u; j < SPAN; j++) {
        affine[j] = affine_of(slice, span_word(walk, j));
    }
    var gate = gate_index(mirrored, lane);
    var row = walk.row_begin;
    while row < walk.row_end {
        var gates = array<u32, SPAN>();
        var gate_shift = 0u;
        let gated_end = gates_end(row, walk.row_step, walk.row_end);
        for (; row < gated_end; row += ROWS * walk.row_step) {
            write_words(walk, row, 0u, &affine, &gates, gate_shift);
            write_words(walk, row, 1u, &affine, &gates, gate_shift);
            write_words(walk, row, 2u, &affine, &gates, gate_shift);
            write_words(walk, row, 3u, &affine, &gates, gate_shift);
            gate_shift += ROWS * WIDTH;
        }
        if has(GATED) {
            for (var j = 0u; j < SPAN; j++) {
                state[gate] = gates[j];
                gate += WORKGROUP;
            }
        }
    }
}
