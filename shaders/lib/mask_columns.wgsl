// The bits of a lane's word j in a row, element by element: a row of words has so many copies of the
// channels, each at a position of its own. Uses columns.wgsl and mask.wgsl.
fn row_copies() -> u32 {
    return row_columns() / params.count;
}

fn row_mask(walk: Walk, row: u32, j: u32) -> u32 {
    if !has(MASKED) {
        return 0u;
    }
    let first = params.positions + row * row_copies();
    var bits = 0u;
    for (var c = 0u; c < WIDTH; c++) {
        let column = span_word(walk, j) * WIDTH + c;
        bits |= select(0u, 1u << c, is_valid(first + column / params.count));
    }
    return bits;
}
