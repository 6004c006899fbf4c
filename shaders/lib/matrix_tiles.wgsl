// A walk down the columns of a matrix: lanes lie along a tile of columns, so that rows are read side by
// side, SPAN columns for each; lanes that share a column take turns in the rows. Uses matrix.wgsl.

// Rows that a lane reads at once, so that it has four loads in flight.
const ROWS: u32 = max(4u / SPAN, 1u);

// The lane's j-th column; it may lie beyond the last one.
fn column_of(tile: u32, lane: u32, j: u32) -> u32 {
    return (tile * SPAN + j) * params.tile_lanes + lane % params.tile_lanes;
}

// Where the lane's columns begin in the first row; beyond the last column it is that one again.
fn starts_of(tile: u32, lane: u32) -> array<u32, SPAN> {
    var starts: array<u32, SPAN>;
    for (var j = 0u; j < SPAN; j++) {
        let column = min(column_of(tile, lane, j), params.columns - 1u);
        let block = column / params.row_words;
        starts[j] = column + block * (params.block_words - params.row_words);
    }
    return starts;
}
