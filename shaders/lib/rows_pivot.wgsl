// The pivot of a slice of a row's slot, from samples all over it; uses rows.wgsl, rows_*.wgsl,
// moments.wgsl and mask_samples.wgsl.

// The same from valid elements only; 0 where there are none, which merges as nothing.
fn valid_pivot(slice: Slice) -> f32 {
    let begin = params.positions + elements_before(slice, slice.begin);
    let end = params.positions + elements_before(slice, slice.end);
    let first = next_valid(begin, end);
    if first == end {
        return 0.0;
    }
    let first_row = params.shift + (slice.slot - params.first_slot) * params.inner;
    var samples: array<f32, 10>;
    for (var i = 0u; i < 10u; i++) {
        let place = valid_sample(i, begin, end, first) - params.positions;
        let outer = place / params.inner;
        let element = first_row + outer * params.row_stride + (place - outer * params.inner);
        samples[i] = word_split(load_x(element / WIDTH))[element % WIDTH];
    }
    return coarse(pivot_of(samples));
}

fn slice_pivot(slice: Slice) -> f32 {
    if has(NO_MEAN) {
        return 0.0;
    }
    if has(MASKED) {
        return valid_pivot(slice);
    }
    // Another element of each word, since a short slice has fewer words than samples: the first ones of
    // four words cost 16 values 2.6e-7 of their rstd.
    var samples: array<f32, 10>;
    for (var i = 0u; i < 10u; i++) {
        let at = slice.begin + sample_at(i, slice.end - slice.begin);
        let c = cursor_at(slice, at);
        let first = word_of(c) * WIDTH;
        let element = clamp(first + i % WIDTH, c.row, c.row + params.inner - 1u);
        samples[i] = word_split(load_x(element / WIDTH))[element % WIDTH];
    }
    return coarse(pivot_of(samples));
}
