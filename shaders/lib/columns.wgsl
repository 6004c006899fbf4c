// Split columns: inner = 1, so the channels lie side by side and every row holds one element of
// each. The tensor is seen as rows of `row_words` words whose length in elements is a multiple of
// `count`: element p of such a row belongs to channel p % count, in every row. Each lane owns one
// word of the row and walks down, so loads are full words side by side whatever `count` is.
// A row that fits one workgroup (blocks = 1) may hold several copies of the channels, which the
// workgroup merges; a longer one is cut into blocks of WORKGROUP words, and its copies, where a
// word holds parts of two, are partials of their own.
// Partials lie [partials][count]. The host half of Params is src/kernels/params.rs.
struct Params {
    grid_width: u32,
    groups: u32,
    count: u32,
    words: u32, // in the tensor
    row_words: u32,
    copies: u32, // of the channels in a row
    blocks: u32,
    slice_rows: u32,
    rows: u32,
    partials: u32, // of one channel
    flags: u32,
    n: f32, // elements in a channel
    eps: f32,
    old_weight: f32,
    new_weight: f32,
    running_divisor: f32, // n - 1 or n: what M2 is divided by for running_var
}
@group(0) @binding(0) var<uniform> params: Params;

// WORKGROUP * WIDTH: the elements that a workgroup sees of a row.
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
        (group % params.blocks) * TILE,
        row_begin,
        min(row_begin + params.slice_rows, params.rows),
    );
}

// The word of the row that this lane owns.
fn word_of(slice: Slice, lane: u32) -> u32 {
    return slice.first_column / WIDTH + lane;
}

// The row behind the last one that has this lane's word: the last row of the tensor may be short.
fn lane_row_end(slice: Slice, word: u32) -> u32 {
    if word >= params.row_words || word >= params.words {
        return slice.row_begin;
    }
    let rows = (params.words - word + params.row_words - 1u) / params.row_words;
    return max(min(slice.row_end, rows), slice.row_begin);
}

fn channel_of(column: u32) -> u32 {
    return column % params.count;
}

fn channel_partial(channel: u32, i: u32) -> u32 {
    return partial_index(i * params.count + channel);
}

fn row_columns() -> u32 {
    return params.row_words * WIDTH;
}

// A workgroup's columns once its copies of the channels are merged: the channels themselves where
// a row fits the workgroup, else its tile as it is.
fn merged_columns() -> u32 {
    return select(TILE, params.count, params.blocks == 1u);
}

// Which merged column component `j` of this lane's word belongs to.
fn merged_column(word: u32, lane: u32, j: u32) -> u32 {
    return select(lane * WIDTH + j, channel_of(word * WIDTH + j), params.blocks == 1u);
}

// The elements of a slice that belong to one merged column: `n` of them from `first` by `step`.
// There may be none where the last row of the tensor is short.
struct Column {
    first: u32,
    step: u32,
    n: u32,
}

fn column_of(slice: Slice, i: u32) -> Column {
    let end = min(slice.row_end * params.row_words, params.words) * WIDTH;
    let first = slice.row_begin * row_columns() + slice.first_column + i;
    let step = select(row_columns(), params.count, params.blocks == 1u);
    if slice.first_column + i >= row_columns() || first >= end {
        return Column(0u, 0u, 0u);
    }
    return Column(first, step, (end - first + step - 1u) / step);
}

// The partial of a merged column.
fn column_partial(slice: Slice, i: u32) -> u32 {
    let columns = select(row_columns(), params.count, params.blocks == 1u);
    return partial_index(slice.index * columns + slice.first_column + i);
}
