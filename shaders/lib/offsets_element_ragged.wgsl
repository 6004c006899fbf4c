// An offset for each element of a slot: beta [inner], or 0 where there is none. Uses
// gains_element_ragged.wgsl.
@group(0) @binding(6) var<storage, read_write> beta: array<f32>;

fn offset(slot: u32) -> f32 {
    return 0.0;
}

// The word whose first element has that place in a row, plus its offsets.
fn offset_by(v: Word, place: u32) -> Word {
    if has(HAS_BETA) {
        let first = beta[gain_place(place)];
        let second = beta[gain_place(place + 1u)];
        return v + word_from(array<f32, 4>(first, second, 0.0, 0.0));
    }
    return v;
}
