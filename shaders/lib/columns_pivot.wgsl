// One pivot for every merged column of a workgroup, so that the sums of its copies add up without a
// merge; from samples all over the slice. Uses columns.wgsl, moments.wgsl, mask*.wgsl
// and barrier_*.wgsl.
var<workgroup> pivots: array<f32, TILE>;

fn column_pivot(column: Column) -> f32 {
    var samples: array<f32, 10>;
    for (var i = 0u; i < 10u; i++) {
        let element = column.first + sample_at(i, column.n) * column.step;
        samples[i] = word_split(load_x(element / WIDTH))[element % WIDTH];
    }
    return coarse(pivot_of(samples));
}

// The same from valid elements only; 0 where there are none, which merges as nothing. A position
// has an element of every channel, so that copies of one share their samples.
fn valid_pivot(slice: Slice, i: u32, first: u32) -> f32 {
    let begin = params.positions + slice.row_begin * row_copies();
    let end = params.positions + slice.row_end * row_copies();
    if first == end {
        return 0.0;
    }
    let channel = channel_of(slice.first_column + i);
    var samples: array<f32, 10>;
    for (var j = 0u; j < 10u; j++) {
        let place = valid_sample(j, begin, end, first) - params.positions;
        let element = params.shift * WIDTH + place * params.count + channel;
        samples[j] = word_split(load_x(element / WIDTH))[element % WIDTH];
    }
    return coarse(pivot_of(samples));
}

fn find_pivots(slice: Slice, lane: u32) {
    var first = 0u;
    if has(MASKED) {
        let begin = params.positions + slice.row_begin * row_copies();
        first = next_valid(begin, params.positions + slice.row_end * row_copies());
    }
    for (var i = lane; i < merged_columns(); i += WORKGROUP) {
        pivots[i] = 0.0;
        if is_column(slice, i) && !has(NO_MEAN) {
            if has(MASKED) {
                pivots[i] = valid_pivot(slice, i, first);
            } else {
                pivots[i] = column_pivot(column_of(slice, i));
            }
        }
    }
    sync();
}
