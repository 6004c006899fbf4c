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

// The same from valid elements only, whose places all channels share, since a position has an element of
// every one.
fn valid_pivot(channel: u32, places: ptr<function, array<u32, 10>>) -> f32 {
    var samples: array<f32, 10>;
    for (var j = 0u; j < 10u; j++) {
        let element = params.shift * WIDTH + (*places)[j] * params.count + channel;
        samples[j] = word_split(load_x(element / WIDTH))[element % WIDTH];
    }
    return coarse(pivot_of(samples));
}

fn find_pivots(slice: Slice, lane: u32) {
    var places: array<u32, 10>;
    var none_is_valid = false;
    if has(MASKED) {
        let begin = params.positions + slice.row_begin * row_copies();
        let end = params.positions + slice.row_end * row_copies();
        let first = next_valid(begin, end);
        none_is_valid = first == end;
        for (var j = 0u; j < 10u; j++) {
            places[j] = valid_sample(j, begin, end, min(first, end - 1u)) - params.positions;
        }
    }
    for (var i = lane; i < merged_columns(); i += WORKGROUP) {
        pivots[i] = 0.0;
        if is_column(slice, i) && !has(NO_MEAN) && !none_is_valid {
            if has(MASKED) {
                pivots[i] = valid_pivot(channel_of(slice.first_column + i), &places);
            } else {
                pivots[i] = column_pivot(column_of(slice, i));
            }
        }
    }
    sync();
}
