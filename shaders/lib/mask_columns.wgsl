// The bits of a lane's word j in a row, element by element: a row of words has so many copies of the
// channels, each at a position of its own. Uses columns.wgsl and mask.wgsl.
fn row_copies() -> u32 {
    return row_columns() / params.count;
}

// Of which copy the first element of word j is, and how many copies further on each of its elements, in
// two bits each. Found once for all rows, since a software driver takes some 200 cycles for a division.
var<private> first_copies: array<u32, SPAN>;
var<private> copy_steps: array<u32, SPAN>;
var<private> copies: u32;

fn find_copies(walk: Walk) {
    if !has(MASKED) {
        return;
    }
    copies = row_copies();
    for (var j = 0u; j < SPAN; j++) {
        let column = span_word(walk, j) * WIDTH;
        let first = column / params.count;
        var steps = 0u;
        for (var c = 1u; c < WIDTH; c++) {
            steps |= ((column + c) / params.count - first) << (2u * c);
        }
        first_copies[j] = first;
        copy_steps[j] = steps;
    }
}

fn row_mask(walk: Walk, row: u32, j: u32) -> u32 {
    if !has(MASKED) {
        return 0u;
    }
    // The elements of 32 positions are whole words, so that none reaches into the next 32.
    let position = params.positions + row * copies + first_copies[j];
    let valid_bits = state[params.mask + (position >> 5u)] >> (position & 31u);
    var bits = 0u;
    for (var c = 0u; c < WIDTH; c++) {
        bits |= ((valid_bits >> ((copy_steps[j] >> (2u * c)) & 3u)) & 1u) << c;
    }
    return bits;
}
