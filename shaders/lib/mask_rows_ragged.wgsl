// The bits of the word that is read or written for a cursor, element by element: those behind the row are
// the next slot's, which for the last slot begins a row of positions further on. Uses mask.wgsl.
fn mask_from(first: u32, c: Cursor, slot: u32) -> u32 {
    if !has(MASKED) {
        return 0u;
    }
    let rows = c.at / params.row_words * params.inner;
    let row = params.positions + rows;
    // The window may end a row without having begun it; the next slot's part of that row begins with it.
    let is_last = next_slot(slot) <= slot;
    let next_row = select(params.row_positions + rows, row + params.inner, is_last);
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
