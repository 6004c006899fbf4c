// One pivot for every merged column of a workgroup, so that the sums of its copies add up without a
// merge; from samples all over the slice. Uses columns.wgsl, moments.wgsl and barrier_*.wgsl.
var<workgroup> pivots: array<f32, TILE>;

fn column_pivot(column: Column) -> f32 {
    var samples: array<f32, 10>;
    for (var i = 0u; i < 10u; i++) {
        let element = column.first + sample_at(i, column.n) * column.step;
        samples[i] = word_split(load_x(element / WIDTH))[element % WIDTH];
    }
    return coarse(pivot_of(samples));
}

fn find_pivots(slice: Slice, lane: u32) {
    for (var i = lane; i < merged_columns(); i += WORKGROUP) {
        pivots[i] = 0.0;
        if is_column(slice, i) && !has(NO_MEAN) {
            pivots[i] = column_pivot(column_of(slice, i));
        }
    }
    sync();
}
