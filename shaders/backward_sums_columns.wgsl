// First dispatch of a backward, split columns: sum dy and sum dy * xhat per channel and slice.
// Host half: src/kernels/backward_sums.rs. Lib: element_*, span_*, io_x*, io_dy*, columns, workgroup,
// state, flags, slots, gains_*, offsets_*, corrections, centred, word_where, gates_*, mask*,
// merge_tree, barrier_*.
//   x, dy [rows][row_words]  read
//   state                    saved statistics and gates read, partial sums written
//   gamma, beta [gains]      read where gates are computed from x
// Grid: one workgroup per block of columns and slice of rows, blocks beside each other.

// Sums of dy in `dy` and of dy * (x - mean) in `dy_x`; rstd is the channel's and multiplied later.
struct Sums {
    dy: array<Word, SPAN>,
    dy_x: array<Word, SPAN>,
}

// Half the rows of a forward at once: there are two loads for each.
const PAIRS: u32 = max(ROWS / 2u, 1u);
// Rows whose sums stay apart from the total, no fewer than have their gates in one word.
const PART: u32 = max(32u / WIDTH, 16u);

// Of the lane's columns; scale and shift are those of y where gates are computed from x.
struct Statistics {
    k: array<Word, SPAN>,
    d: array<Word, SPAN>,
    scale: array<Word, SPAN>,
    shift: array<Word, SPAN>,
}

fn statistics_of_columns(slice: Slice, walk: Walk) -> Statistics {
    var statistics: Statistics;
    for (var j = 0u; j < SPAN; j++) {
        var ks = array<f32, 4>();
        var ds = array<f32, 4>();
        var scales = array<f32, 4>();
        var shifts = array<f32, 4>();
        for (var c = 0u; c < WIDTH; c++) {
            let slot = slot_of(slice, span_word(walk, j) * WIDTH + c);
            let saved = state_at(saved_index(statistic_of(slot)));
            let affine = gate_affine(slot, saved);
            ks[c] = saved.x;
            ds[c] = saved.y;
            scales[c] = affine.x;
            shifts[c] = affine.y;
        }
        statistics.k[j] = word_from(ks);
        statistics.d[j] = word_from(ds);
        statistics.scale[j] = word_from(scales);
        statistics.shift[j] = word_from(shifts);
    }
    return statistics;
}

// Adds four of the words that a lane reads at once: software drivers unroll no longer loops.
fn add_words(
    walk: Walk,
    row: u32,
    four: u32,
    columns: ptr<function, Statistics>,
    gates: ptr<function, array<u32, SPAN>>,
    gate_shift: u32,
    part: ptr<function, Sums>,
) {
    let begin = min(4u * four, PAIRS * SPAN);
    let end = min(begin + 4u, PAIRS * SPAN);
    for (var i = begin; i < end; i++) {
        let j = i % SPAN;
        let word = word_of(walk, row, i);
        let x = load_x(word);
        let valid_bits = row_mask(walk, row_of(walk, row, i), j);
        let centred = valid(less(x - (*columns).k[j], (*columns).d[j]), valid_bits);
        let bits = (*gates)[j] >> (gate_shift + i / SPAN * WIDTH);
        let own_dy = valid(load_dy(word), valid_bits);
        let dy = gated(own_dy, centred, (*columns).scale[j], (*columns).shift[j], 0u, bits);
        let is_own = is_new(walk, row, i);
        (*part).dy[j] += select(Word(0.0), dy, is_own);
        (*part).dy_x[j] += select(Word(0.0), dy * centred, is_own);
    }
}

// The sums in three levels, as in moments_columns.wgsl.
fn column_sums(walk: Walk, first_gate: u32, of_columns: Statistics) -> Sums {
    var columns = of_columns;
    var gate = first_gate;
    var gates: array<u32, SPAN>;
    var sums: Sums;
    let step = walk.row_step;
    let most = long_rows(walk, PART);
    var row = walk.row_begin;
    while row < walk.row_end {
        let long_end = min(row + most * step, walk.row_end);
        var long = Sums();
        while row < long_end {
            let end = min(row + PART * step, long_end);
            var part = Sums();
            while row < end {
                for (var j = 0u; j < SPAN; j++) {
                    gates[j] = gate_bits(gate);
                    gate += WORKGROUP;
                }
                var gate_shift = 0u;
                let gated_end = gates_end(row, step, end);
                for (; row < gated_end; row += PAIRS * step) {
                    add_words(walk, row, 0u, &columns, &gates, gate_shift, &part);
                    add_words(walk, row, 1u, &columns, &gates, gate_shift, &part);
                    add_words(walk, row, 2u, &columns, &gates, gate_shift, &part);
                    add_words(walk, row, 3u, &columns, &gates, gate_shift, &part);
                    gate_shift += PAIRS * WIDTH;
                }
            }
            for (var j = 0u; j < SPAN; j++) {
                long.dy[j] += part.dy[j];
                long.dy_x[j] += part.dy_x[j];
            }
        }
        for (var j = 0u; j < SPAN; j++) {
            sums.dy[j] += long.dy[j];
            sums.dy_x[j] += long.dy_x[j];
        }
    }
    return sums;
}

@compute @workgroup_size(WORKGROUP)
fn backward_sums_columns(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let slice = slice_of(group);
    let walk = walk_of(slice, lane);
    find_copies(walk);
    var statistics = statistics_of_columns(slice, walk);
    var sums = column_sums(walk, gate_index(group, lane), statistics);
    for (var j = 0u; j < SPAN; j++) {
        leave_word(walk, j, sums.dy[j], sums.dy_x[j]);
    }
    merge_lanes(lane);
    for (var i = lane; i < merged_columns(); i += WORKGROUP) {
        if is_column(slice, i) {
            let slot = slot_of(slice, slice.first_column + i);
            let rstd = state_at(saved_index(statistic_of(slot))).z;
            set_sums(column_partial(slice, i), merge_scratch[i] * vec2<f32>(1.0, rstd));
        }
    }
}
