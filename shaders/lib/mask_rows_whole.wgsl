// The bits of the word that a cursor stands on: positions run on as the words of a slot do. Uses mask.wgsl.
fn read_mask(c: Cursor, slot: u32) -> u32 {
    if !has(MASKED) {
        return 0u;
    }
    let position = params.positions + c.at * WIDTH;
    return state[params.mask + (position >> 5u)] >> (position & 31u);
}

fn written_mask(c: Cursor, slot: u32) -> u32 {
    return read_mask(c, slot);
}
