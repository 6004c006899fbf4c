// Columns: inner = 1, so the channels lie side by side and every row holds one element of each. The
// tensor is seen as rows of `row_words` words that hold whole copies of the channels: element p of a
// row belongs to channel p % count, in every row, and no row is short.
// A workgroup owns a tile of `tile_words` words of some rows. Its lanes lie along the tile,
// `tile_lanes` of them, each with every such word of it, SPAN at the most; and `row_lanes` rows at
// once, each lane walking down. Rows of the tile are therefore read side by side whatever `count` is,
// and lanes of one column add up at the end.
// Partials lie [batch][partials][count]; a row that is cut into several blocks leaves a partial for each
// of its copies of a channel. The host half of Params is src/kernels/params.rs.
struct Params {
    grid_width: u32,
    groups: u32,
    count: u32, // channels of a batch entry
    saved: u32, // vectors of the state before the partials
    partials: u32, // of one slot, which is a channel of a batch entry
    merged: u32, // partials of one statistic
    fan: u32, // slots with one statistic
    gains: u32,
    first_batch: u32, // of this window of the tensor
    slices: u32, // of a batch entry in this window
    first_slice: u32, // of this window of the tensor
    first_row: u32, // of this window, where a row has a statistic
    shift: u32, // words of the binding before the window
    rows: u32, // of a batch entry in this window
    row_words: u32,
    tile_words: u32, // of a row, for one workgroup
    tile_lanes: u32,
    row_lanes: u32,
    blocks: u32, // of a row
    slice_rows: u32, // of each slice
    more_rows: u32, // slices with one more of them
    n: f32, // elements of a statistic
    eps: f32,
    old_weight: f32,
    new_weight: f32,
    running_divisor: f32, // n - 1 or n: what M2 is divided by for running_var
    r_max: f32,
    d_max: f32,
    gates: u32, // words of the state before the gates of this window
    group_gates: u32, // words of gates that a workgroup keeps
    mask: u32, // words of the state before those of the mask
    positions: u32, // before this window
}
@group(0) @binding(0) var<uniform> params: Params;

// WORKGROUP * WIDTH * SPAN: the most elements that the lanes of a workgroup own at once.
override TILE: u32 = 1024u;
// Rows that a lane reads at once, so that it has four loads in flight.
const ROWS: u32 = max(4u / SPAN, 1u);
// The most elements of a tile for each lane.
const ENTRIES: u32 = WIDTH * SPAN;

struct Slice {
    batch: u32,
    index: u32, // among all slices of the batch entry
    first_column: u32, // the workgroup's first element in the row
    row_begin: u32,
    row_end: u32,
}

// Rows are dealt to the slices as evenly as can be: the first few have one more.
fn slice_of(group: u32) -> Slice {
    let slice = group / params.blocks;
    let block = group - slice * params.blocks;
    let batch = slice / params.slices;
    let i = slice - batch * params.slices;
    let begin = batch * params.rows + i * params.slice_rows + min(i, params.more_rows);
    let end = begin + params.slice_rows + select(0u, 1u, i < params.more_rows);
    return Slice(
        params.first_batch + batch,
        params.first_slice + i,
        block * params.tile_words * WIDTH,
        begin,
        end,
    );
}

// What one lane owns: words `word`, `word + word_step` and so on of a row up to `last_word`, in the
// rows from `row_begin` by `row_step` to `last_row`; none for a lane beyond the row or the tile's lanes,
// whose `row_end` is its `row_begin`. All that a walk needs of the parameters is here, read once: a
// software driver would read them again for every word.
struct Walk {
    word: u32,
    word_step: u32,
    last_word: u32,
    row_begin: u32,
    row_step: u32,
    row_end: u32,
    last_row: u32,
    row_words: u32,
    shift: u32,
    tile_element: u32, // its first one among those of all lanes, row lane by row lane
    tile_words: u32, // of the tile from its first one on, whether the row has them or not
}

fn walk_of(slice: Slice, lane: u32) -> Walk {
    let begin = slice.first_column / WIDTH;
    let word_end = min(begin + params.tile_words, params.row_words);
    let row_lane = lane / params.tile_lanes;
    let place = lane - row_lane * params.tile_lanes;
    let word = begin + place;
    let row_begin = slice.row_begin + row_lane;
    let works = word < word_end && row_lane < params.row_lanes && row_begin < slice.row_end;
    let row_end = select(row_begin, slice.row_end, works);
    return Walk(
        word,
        params.tile_lanes,
        last_of(word, params.tile_lanes, word_end),
        row_begin,
        params.row_lanes,
        row_end,
        last_of(row_begin, params.row_lanes, row_end),
        params.row_words,
        params.shift,
        (row_lane * params.tile_words + place) * WIDTH,
        select(0u, params.tile_words - place, row_lane < params.row_lanes),
    );
}

// The last of `first`, `first + step` and so on that lies before `end`.
fn last_of(first: u32, step: u32, end: u32) -> u32 {
    return first + (max(end, first + 1u) - 1u - first) / step * step;
}

// Word j of this lane's in a row. Beyond its last it is that one again: what is summed there is thrown
// away, and it is not stored, since what was read there may be the lane's own output by then.
fn span_word(walk: Walk, j: u32) -> u32 {
    let word = walk.word + j * walk.word_step;
    return select(min(word, walk.last_word), word, has(FULL));
}

fn has_word(walk: Walk, j: u32) -> bool {
    return has(FULL) || walk.word + j * walk.word_step <= walk.last_word;
}

// Where the i-th word lies of the ROWS * SPAN that the lane reads at once from `row` on, of which the
// first SPAN are always its own.
fn word_of(walk: Walk, row: u32, i: u32) -> u32 {
    return walk.shift + row_of(walk, row, i) * walk.row_words + span_word(walk, i % SPAN);
}

fn row_of(walk: Walk, row: u32, i: u32) -> u32 {
    return select(min(row + i / SPAN * walk.row_step, walk.last_row), row, i < SPAN);
}

// Whether the row of that word is one that the lane has not met yet.
fn is_new(walk: Walk, row: u32, i: u32) -> bool {
    return i < SPAN || row + i / SPAN * walk.row_step < walk.row_end;
}

// Rows whose sums stay apart from a lane's total, as those of `part` rows do from theirs: about as many of the
// one as of the other, which keeps the rounding of long sums small. Always 512 left the mean of one channel in
// 2,000 off by 2.3e-7 at 512 rows, where the worst is 1.4e-7 now.
fn long_rows(walk: Walk, part: u32) -> u32 {
    let parts = (walk.row_end - walk.row_begin) / (walk.row_step * part);
    return part << ((firstLeadingBit(parts | 1u) + 1u) / 2u);
}

// column % count. A row has no more than some 500 copies of the channels, so that their quotient in f32 is
// off by one at the most; a software driver takes some 200 cycles for a division of integers.
fn channel_of(column: u32) -> u32 {
    let before = u32(f32(column) / f32(params.count)) * params.count;
    let channel = column - before;
    let less = select(channel, channel - params.count, channel >= params.count);
    return select(less, channel + params.count, before > column);
}

// The slot of a column of the row.
fn slot_of(slice: Slice, column: u32) -> u32 {
    return slice.batch * params.count + channel_of(column);
}

// Partial i of a statistic, and how many there are: its slots take turns.
fn statistic_partial(statistic: u32, i: u32) -> u32 {
    if !has(GROUPED) {
        return partial_index(i * params.count + statistic);
    }
    let first = statistic * params.fan;
    let batch = first / params.count;
    let row = batch * params.partials + i / params.fan;
    return partial_index(row * params.count + first - batch * params.count + i % params.fan);
}

fn statistic_partials() -> u32 {
    return params.merged;
}

// The slot that partial i of a statistic is of.
fn partial_slot(statistic: u32, i: u32) -> u32 {
    return statistic * params.fan + i % params.fan;
}

fn row_columns() -> u32 {
    return params.row_words * WIDTH;
}

// A workgroup's columns once its lanes are merged: the channels themselves where it owns whole rows,
// else the columns of its tile.
fn merged_columns() -> u32 {
    return select(params.tile_words * WIDTH, params.count, params.blocks == 1u);
}

// How many lanes' words own elements of one merged column.
fn merged_lanes() -> u32 {
    return params.row_lanes * (params.tile_words * WIDTH / merged_columns());
}

// Which merged column component c of a word of the tile belongs to.
fn merged_column(slice: Slice, word: u32, c: u32) -> u32 {
    let column = word * WIDTH + c;
    return select(column - slice.first_column, channel_of(column), params.blocks == 1u);
}

// Whether the tile has a word j for this lane, and where component c of it lies among the elements of
// all lanes.
fn is_in_tile(walk: Walk, j: u32) -> bool {
    return has(FULL) || j * walk.word_step < walk.tile_words;
}

fn tile_element(walk: Walk, j: u32, c: u32) -> u32 {
    return walk.tile_element + j * walk.word_step * WIDTH + c;
}

// Merged columns of a whole row.
fn all_columns() -> u32 {
    return select(row_columns(), params.count, params.blocks == 1u);
}

// The elements of a slice that belong to one merged column: `n` of them from `first` by `step`.
struct Column {
    first: u32,
    step: u32,
    n: u32,
}

fn column_of(slice: Slice, i: u32) -> Column {
    let first = params.shift * WIDTH + slice.row_begin * row_columns() + slice.first_column + i;
    let copies = row_columns() / all_columns();
    return Column(first, all_columns(), (slice.row_end - slice.row_begin) * copies);
}

// Whether merged column i of the workgroup is one of the row: the last block may reach beyond it.
fn is_column(slice: Slice, i: u32) -> bool {
    return slice.first_column + i < row_columns();
}

// The partial of a merged column.
fn column_partial(slice: Slice, i: u32) -> u32 {
    let before = slice.batch * params.partials * params.count;
    return partial_index(before + slice.index * all_columns() + slice.first_column + i);
}
