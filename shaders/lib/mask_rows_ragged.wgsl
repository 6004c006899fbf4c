// The bits of the word that is read or written for a cursor, element by element: those behind the row are
// the next slot's, which for the last slot begins a row of positions further on. Uses mask.wgsl.
fn mask_from(first: u32, c: Cursor, slot: u32) -> u32 {
    if !has(MASKED) {
        return 0u;
    }
    let row = params.positions + c.at / params.row_words * params.inner;
    let next_row = row + select(0u, params.inner, next_slot(slot) <= slot);
    var bits = 0u;
    for (var i = 0u; i < WIDTH; i++) {
        let place = first + i;
        // What lies before the row wraps around, and is not the slot's.
        if place < params.inner + WIDTH {
            let is_own = place < params.inner;
            let position = select(next_row + place - params.inner, row + place, is_own);
            bits |= select(0u, 1u << i, is_valid(position));
        }
    }
    return bits;
}

fn read_mask(c: Cursor, slot: u32) -> u32 {
    return mask_from(word_of(c) * WIDTH - c.row, c, slot);
}

fn written_mask(c: Cursor, slot: u32) -> u32 {
    return mask_from(written_word(c) * WIDTH - c.row, c, slot);
}
