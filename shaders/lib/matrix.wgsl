// A matrix that lies in memory as [outer][rows][row_words] words: its row h is the words [.][h][.] one
// after the other, `columns` of them. A row vector has one f32 for each row, a column vector one word
// for each word of a row, in the same order. The host half of Params is src/kernels/matrix.rs.
struct Params {
    grid_width: u32,
    groups: u32,
    rows: u32,
    row_words: u32, // words of a row that lie side by side
    columns: u32, // words of a row in all
    column_elements: u32, // elements of a row
    block_words: u32, // from one such run of a row to its next
    total: u32, // what is dealt to the slices: each kernel says what
    unit: u32, // in runs of so many
    slices: u32,
    slice_units: u32,
    more_units: u32, // slices with one more unit
    tile_lanes: u32, // lanes side by side in a tile of columns
    tiles: u32, // of columns
    step_words: u32, // as many words on as there are lanes is so many words
    step_blocks: u32, // and so many words of other rows
    partials: u32, // to merge, or partial sums to add up
    row_sums: u32, // partial sums of the row vector
    column_sums: u32, // and of the column vector,
    column_sums_at: u32, // which begin here
    columns_last: u32, // 1 where the column vector was the last to be made
    eps: f32,
}
@group(0) @binding(0) var<uniform> params: Params;

struct Share {
    begin: u32,
    end: u32,
}

// Units are dealt to the slices as evenly as can be: the first few have one more.
fn share_of(slice: u32) -> Share {
    let begin = slice * params.slice_units + min(slice, params.more_units);
    let end = begin + params.slice_units + select(0u, 1u, slice < params.more_units);
    return Share(begin * params.unit, min(end * params.unit, params.total));
}
