// Second dispatch of a backward, split columns:
// dx = gamma * rstd * (dy - dbeta / n - xhat * dgamma / n), or gamma * rstd * dy where the running
// statistics normalized. Derivation: src/derivation.md.
// Host half: src/kernels/backward_dx.rs. Lib: element_*, span_*, io_x*, io_dy*, io_dx, io_dresidual*,
// columns, workgroup, state, flags, slots, gains_*, offsets_*, corrections, centred, flow, word_where, gates_*, mask*,
// partial_sums, merge_tree, barrier_*.
//   x, dy, dx [rows][row_words]  read, read, written; x is not bound (io_x_none) where the running
//                                statistics normalized and no gate is computed from it
//   dresidual [rows][row_words]  written where wanted
//   state                        saved statistics, partial sums and gates read
//   gamma [gains]                read where there is one
//   beta [gains]                 read where gates are computed from x
//   dgamma, dbeta [count]        written where wanted and no gain has several slots
// Grid: one workgroup per block of columns and slice of rows, last slice first; where dx is not
// wanted only the first slice's work.
@group(0) @binding(7) var<storage, read_write> dgamma: array<f32>;
@group(0) @binding(8) var<storage, read_write> dbeta: array<f32>;

// Leaves the sums of dy and dy * xhat of every column's statistic in the first copy of the scratch.
fn merge_partials(slice: Slice, lane: u32) {
    let columns = merged_columns();
    let ways = select(merge_ways(), 1u, has(ONE_PARTIAL));
    let step = entry_step(columns);
    for (var e = first_entry(lane, columns); e.i < ways * columns; e = next_entry(e, step)) {
        let c = statistic_of(slot_of(slice, slice.first_column + e.column));
        merge_scratch[e.i] = share_of_sums(c, e.way, ways);
    }
    merge_tree(ways, columns, lane);
}

fn write_parameters(slice: Slice, lane: u32) {
    for (var i = lane; i < merged_columns(); i += WORKGROUP) {
        let channel = slice.first_column + i;
        if channel < params.count {
            if has(WANT_DBETA) {
                dbeta[channel] = merge_scratch[i].x;
            }
            if has(WANT_DGAMMA) {
                let rd = saved_corrections(channel, state_at(saved_index(channel)));
                dgamma[channel] = merge_scratch[i].y * rd.x + merge_scratch[i].x * rd.y;
            }
        }
    }
}

// Half the rows of a forward at once: there are two loads for each.
const PAIRS: u32 = max(ROWS / 2u, 1u);

// What is done to one word of every row. The mean of dy and the slope along x are those of statistics that
// were computed from x. The gain is part of the scale, but where the sums are of several gains: there it
// belongs to dy.
struct Gradient {
    k: Word,
    d: Word,
    gain: Word,
    scale: Word,
    mean_dy: Word,
    slope: Word,
    // Those of y where gates are computed from x.
    gate_scale: Word,
    gate_shift: Word,
}

fn gradient_of(slice: Slice, word: u32) -> Gradient {
    var k: array<f32, 4>;
    var d: array<f32, 4>;
    var dy_gain: array<f32, 4>;
    var scale: array<f32, 4>;
    var mean_dy: array<f32, 4>;
    var slope: array<f32, 4>;
    var gate_scale: array<f32, 4>;
    var gate_shift: array<f32, 4>;
    for (var c = 0u; c < WIDTH; c++) {
        let slot = slot_of(slice, word * WIDTH + c);
        let saved = state_at(saved_index(statistic_of(slot)));
        k[c] = saved.x;
        d[c] = saved.y;
        scale[c] = saved.z * saved_corrections(slot, saved).x;
        let affine = gate_affine(slot, saved);
        gate_scale[c] = affine.x;
        gate_shift[c] = affine.y;
        if has(GROUPED) {
            dy_gain[c] = gain(slot);
        } else {
            scale[c] *= gain(slot);
        }
        if !has(USE_RUNNING) {
            let sums = merge_scratch[merged_column(slice, word, c)];
            let n = statistic_n(statistic_of(slot));
            mean_dy[c] = select(sums.x / n, 0.0, has(NO_MEAN));
            slope[c] = saved.z * sums.y / n;
        }
    }
    return Gradient(
        word_from(k),
        word_from(d),
        word_from(dy_gain),
        word_from(scale),
        word_from(mean_dy),
        word_from(slope),
        word_from(gate_scale),
        word_from(gate_shift),
    );
}

// Writes four of the words that a lane reads at once: software drivers unroll no longer loops.
fn write_words(
    walk: Walk,
    row: u32,
    four: u32,
    gradient: ptr<function, array<Gradient, SPAN>>,
    gates: ptr<function, array<u32, SPAN>>,
    gate_shift: u32,
) {
    let begin = min(4u * four, PAIRS * SPAN);
    let end = min(begin + 4u, PAIRS * SPAN);
    var x: array<Word, 4>;
    var dy: array<Word, 4>;
    for (var i = begin; i < end; i++) {
        let word = word_of(walk, row, i);
        x[i - begin] = load_x(word);
        dy[i - begin] = load_dy(word);
    }
    for (var i = begin; i < end; i++) {
        let g = (*gradient)[i % SPAN];
        let centred = less(x[i - begin] - g.k, g.d);
        let bits = (*gates)[i % SPAN] >> (gate_shift + i / SPAN * WIDTH);
        var h = gated(dy[i - begin], centred, g.gate_scale, g.gate_shift, 0u, bits);
        let mask = row_mask(walk, row_of(walk, row, i), i % SPAN);
        if has_word(walk, i % SPAN) {
            store_dresidual(word_of(walk, row, i), valid(h, mask));
            if has(GROUPED) {
                h *= g.gain;
            }
            if has(WANT_DX) {
                let value = g.scale * flow(h, centred, g.mean_dy, g.slope);
                store_dx(word_of(walk, row, i), valid(value, mask));
            }
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn backward_dx_columns(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let mirrored = params.groups - 1u - group;
    let slice = slice_of(mirrored);
    if !writes_words() && slice.index != 0u {
        return;
    }
    let merges = !has(USE_RUNNING) || has(WANT_DGAMMA) || has(WANT_DBETA);
    if merges {
        merge_partials(slice, lane);
    }
    if slice.index == 0u {
        write_parameters(slice, lane);
    }
    let walk = walk_of(slice, lane);
    find_copies(walk);
    if !writes_words() || walk.row_begin >= walk.row_end {
        return;
    }
    var gradient: array<Gradient, SPAN>;
    for (var j = 0u; j < SPAN; j++) {
        gradient[j] = gradient_of(slice, span_word(walk, j));
    }
    var gate = gate_index(mirrored, lane);
    var gates: array<u32, SPAN>;
    var row = walk.row_begin;
    while row < walk.row_end {
        for (var j = 0u; j < SPAN; j++) {
            gates[j] = gate_bits(gate);
            gate += WORKGROUP;
        }
        var gate_shift = 0u;
        let gated_end = gates_end(row, walk.row_step, walk.row_end);
        for (; row < gated_end; row += PAIRS * walk.row_step) {
            write_words(walk, row, 0u, &gradient, &gates, gate_shift);
            write_words(walk, row, 1u, &gradient, &gates, gate_shift);
            write_words(walk, row, 2u, &gradient, &gates, gate_shift);
            write_words(walk, row, 3u, &gradient, &gates, gate_shift);
            gate_shift += PAIRS * WIDTH;
        }
    }
}
