// A gain for each element of a slot, gamma [inner] or 1 where there is none, for words that straddle two
// slots (rows_ragged.wgsl), of two elements each: wider ones do not straddle rows that have gains.
@group(0) @binding(5) var<storage, read_write> gamma: array<f32>;

const ELEMENT_GAINS: bool = true;

fn gain(slot: u32) -> f32 {
    return 1.0;
}

// The element of a row that lies so many behind its first: the next slot's begin again, and what is not
// the slot's own before it counts nowhere.
fn gain_place(place: u32) -> u32 {
    let next = select(0u, place - params.inner, place < 2u * params.inner);
    return select(next, place, place < params.inner);
}

// The word whose first element has that place in a row, times its gains.
fn gained(v: Word, place: u32) -> Word {
    if has(HAS_GAMMA) {
        let first = gamma[gain_place(place)];
        let second = gamma[gain_place(place + 1u)];
        return v * word_from(array<f32, 4>(first, second, 0.0, 0.0));
    }
    return v;
}
