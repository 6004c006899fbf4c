// First dispatch of a training forward, split columns: one moment per channel and slice.
// Host half: src/kernels/moments.rs. Lib: element_*, span_*, io_x*, columns, workgroup, state, flags,
// running, corrections, slots, columns_pivot, moments, statistics, word_where, mask*, merge_tree, barrier_*.
//   x [rows][row_words]        read
//   state                      partial moments written; header and saved statistics, see below
//   running_mean, running_var  [count] read where the step normalizes by them or towards them
//   tracked [1]                num_batches_tracked, valid_n up here
// Grid: one workgroup per block of columns and slice of rows, blocks beside each other.
@group(0) @binding(9) var<storage, read_write> tracked: array<u32>;

// The sums of this lane's columns, component by component.
struct Sums {
    s: array<Word, SPAN>,
    q: array<Word, SPAN>,
    n: array<Word, SPAN>, // valid elements
}

// Adds four of the words that a lane reads at once: software drivers unroll no longer loops. Nothing is
// stored here, so a compiler can have all of these loads in flight.
fn add_words(
    walk: Walk,
    row: u32,
    four: u32,
    k: ptr<function, array<Word, SPAN>>,
    part: ptr<function, Sums>,
) {
    let begin = min(4u * four, ROWS * SPAN);
    let end = min(begin + 4u, ROWS * SPAN);
    for (var i = begin; i < end; i++) {
        let j = i % SPAN;
        let x = load_x(word_of(walk, row, i));
        let is_own = is_new(walk, row, i);
        let bits = row_mask(walk, row_of(walk, row, i), j);
        let d = select(Word(0.0), valid(x - (*k)[j], bits), is_own);
        if has(MASKED) {
            (*part).n[j] += select(Word(0.0), valid(Word(1.0), bits), is_own);
        }
        (*part).s[j] += d;
        (*part).q[j] += d * d;
    }
}

// Sums of 16 rows, and of several such sums, stay apart from the total.
fn column_sums(walk: Walk, k: array<Word, SPAN>) -> Sums {
    var ks = k;
    var sums: Sums;
    let step = walk.row_step;
    let most = long_rows(walk, 16u);
    var row = walk.row_begin;
    while row < walk.row_end {
        let long_end = min(row + most * step, walk.row_end);
        var long = Sums();
        while row < long_end {
            let end = min(row + 16u * step, long_end);
            var part = Sums();
            for (; row < end; row += ROWS * step) {
                add_words(walk, row, 0u, &ks, &part);
                add_words(walk, row, 1u, &ks, &part);
                add_words(walk, row, 2u, &ks, &part);
                add_words(walk, row, 3u, &ks, &part);
            }
            for (var j = 0u; j < SPAN; j++) {
                long.s[j] += part.s[j];
                long.q[j] += part.q[j];
                if has(MASKED) {
                    long.n[j] += part.n[j];
                }
            }
        }
        for (var j = 0u; j < SPAN; j++) {
            sums.s[j] += long.s[j];
            sums.q[j] += long.q[j];
            if has(MASKED) {
                sums.n[j] += long.n[j];
            }
        }
    }
    return sums;
}

@compute @workgroup_size(WORKGROUP)
fn moments_columns(
    @builtin(workgroup_id) group_id: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let group = group_index(group_id);
    if group >= params.groups {
        return;
    }
    let slice = slice_of(group);
    find_pivots(slice, lane);
    let walk = walk_of(slice, lane);
    find_copies(walk);
    var k: array<Word, SPAN>;
    for (var j = 0u; j < SPAN; j++) {
        var ks = array<f32, 4>();
        for (var c = 0u; c < WIDTH; c++) {
            ks[c] = pivots[merged_column(slice, span_word(walk, j), c)];
        }
        k[j] = word_from(ks);
    }
    var sums = column_sums(walk, k);
    var valid_n: array<f32, ENTRIES>;
    if has(MASKED) {
        for (var j = 0u; j < SPAN; j++) {
            leave_word(walk, j, sums.n[j], Word(0.0));
        }
        merge_lanes(lane);
        for (var j = 0u; j < ENTRIES; j++) {
            valid_n[j] = merge_scratch[min(lane + j * WORKGROUP, merged_columns() - 1u)].x;
        }
        sync();
    }
    for (var j = 0u; j < SPAN; j++) {
        leave_word(walk, j, sums.s[j], sums.q[j]);
    }
    merge_lanes(lane);
    for (var i = lane; i < merged_columns(); i += WORKGROUP) {
        if is_column(slice, i) {
            var n = f32(column_of(slice, i).n);
            if has(MASKED) {
                n = valid_n[i / WORKGROUP];
            }
            set_state(column_partial(slice, i), vec4<f32>(n, pivots[i], merge_scratch[i]));
        }
        let channel = slice.first_column + i;
        if slice.index == 0u && channel < params.count {
            keep_running(channel);
        }
    }
    if group == 0u && lane == 0u && has(HAS_TRACKED) {
        let count = tracked[0] + 1u;
        tracked[0] = count;
        set_state(0u, vec4<f32>(f32(count), 0.0, 0.0, 0.0));
    }
}
