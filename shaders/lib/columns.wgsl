// Split columns: inner = 1, so the channels lie side by side and every row holds one element of
// each. The tensor is seen as rows of `row_words` words, the shortest whole number of words that
// holds whole copies of the channels: element p of a row belongs to channel p % count, in every row,
// and no row is short, since words are only as wide as divides the tensor.
// A workgroup owns a block of `tile_words` words of some rows. Its lanes lie along the block, as often
// as they fit: `row_lanes` rows at once, each lane walking down its own word. Rows of the block are
// therefore read side by side whatever `count` is, and lanes of one column add up at the end.
// Partials lie [partials][count]; a row that is cut into several blocks leaves a partial for each
// of its copies of a channel. The host half of Params is src/kernels/params.rs.
struct Params {
    grid_width: u32,
    groups: u32,
    count: u32,
    rows: u32,
    row_words: u32,
    tile_words: u32, // of a row, for one workgroup
    row_lanes: u32,
    blocks: u32, // of a row
    slice_rows: u32,
    partials: u32, // of one channel
    flags: u32,
    n: f32, // elements in a channel
    eps: f32,
    old_weight: f32,
    new_weight: f32,
    running_divisor: f32, // n - 1 or n: what M2 is divided by for running_var
}
@group(0) @binding(0) var<uniform> params: Params;

// WORKGROUP * WIDTH: the most elements that the lanes of a workgroup own at once.
override TILE: u32 = 1024u;

struct Slice {
    index: u32,
    first_column: u32, // the workgroup's first element in the row
    row_begin: u32,
    row_end: u32,
}

fn slice_of(group: u32) -> Slice {
    let index = group / params.blocks;
    let row_begin = index * params.slice_rows;
    return Slice(
        index,
        (group % params.blocks) * params.tile_words * WIDTH,
        row_begin,
        min(row_begin + params.slice_rows, params.rows),
    );
}

// What one lane owns: word `word` of the rows from `row_begin` by `row_step` to `row_end`, which are
// none for a lane beyond the row or the block's lanes.
struct Walk {
    word: u32,
    row_begin: u32,
    row_end: u32,
    row_step: u32,
}

fn walk_of(slice: Slice, lane: u32) -> Walk {
    let word = slice.first_column / WIDTH + lane % params.tile_words;
    let row_lane = lane / params.tile_words;
    let row_begin = slice.row_begin + row_lane;
    let works = word < params.row_words && row_lane < params.row_lanes;
    return Walk(word, row_begin, select(row_begin, slice.row_end, works), params.row_lanes);
}

fn channel_of(column: u32) -> u32 {
    return column % params.count;
}

fn slot_partials() -> u32 {
    return params.partials;
}

fn slot_partial(channel: u32, i: u32) -> u32 {
    return partial_index(i * params.count + channel);
}

fn row_columns() -> u32 {
    return params.row_words * WIDTH;
}

// A workgroup's columns once its lanes are merged: the channels themselves where it owns whole rows,
// else the columns of its block.
fn merged_columns() -> u32 {
    return select(params.tile_words * WIDTH, params.count, params.blocks == 1u);
}

// How many lanes own elements of one merged column.
fn merged_lanes() -> u32 {
    return params.row_lanes * (params.tile_words * WIDTH / merged_columns());
}

// Which merged column component `j` of this lane's word belongs to.
fn merged_column(lane: u32, j: u32) -> u32 {
    return (lane % params.tile_words * WIDTH + j) % merged_columns();
}

// The elements of a slice that belong to one merged column: `n` of them from `first` by `step`.
struct Column {
    first: u32,
    step: u32,
    n: u32,
}

// Merged columns of a whole row.
fn all_columns() -> u32 {
    return select(row_columns(), params.count, params.blocks == 1u);
}

fn column_of(slice: Slice, i: u32) -> Column {
    let first = slice.row_begin * row_columns() + slice.first_column + i;
    let copies = row_columns() / all_columns();
    return Column(first, all_columns(), (slice.row_end - slice.row_begin) * copies);
}

// Whether merged column i of the workgroup is one of the row: the last block may reach beyond it.
fn is_column(slice: Slice, i: u32) -> bool {
    return slice.first_column + i < row_columns();
}

// The partial of a merged column.
fn column_partial(slice: Slice, i: u32) -> u32 {
    return partial_index(slice.index * all_columns() + slice.first_column + i);
}
