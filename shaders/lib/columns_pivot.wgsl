// The pivot of one column of a slice, from samples all over it; uses columns.wgsl and moments.wgsl.
fn column_pivot(column: Column) -> f32 {
    var samples: array<f32, 10>;
    for (var i = 0u; i < 10u; i++) {
        let element = column.first + sample_at(i, column.n) * column.step;
        samples[i] = word_split(load_x(element / WIDTH))[element % WIDTH];
    }
    return pivot_of(samples);
}
