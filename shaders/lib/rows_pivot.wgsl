// The pivot of a slice of a row's slot, from samples all over it; uses rows.wgsl, rows_*.wgsl and
// moments.wgsl.
fn slice_pivot(slice: Slice) -> f32 {
    if has(NO_MEAN) {
        return 0.0;
    }
    var samples: array<f32, 10>;
    for (var i = 0u; i < 10u; i++) {
        let at = slice.begin + sample_at(i, slice.end - slice.begin);
        let c = cursor_at(slice, at);
        let element = clamp(word_of(c) * WIDTH, c.row, c.row + params.inner - 1u);
        samples[i] = word_split(load_x(element / WIDTH))[element % WIDTH];
    }
    return coarse(pivot_of(samples));
}
