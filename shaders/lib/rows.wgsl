// Rows: the tensor is [outer][count][inner], so a slot's members come in rows of consecutive words.
// A slot is its rows' words one after the other, and a slice is a run of them that belongs to one
// workgroup, so that its lanes are all busy however short the rows are. Which word of the buffer
// that is and which of its elements are the slot's say rows_whole.wgsl and rows_ragged.wgsl.
// Partials lie [count][partials]. The host half of Params is src/kernels/params.rs.
struct Params {
    grid_width: u32,
    groups: u32,
    count: u32, // slots of a batch entry
    saved: u32, // vectors of the state before the partials
    partials: u32, // of one slot
    merged: u32, // partials of one statistic
    fan: u32, // slots with one statistic
    gains: u32,
    first_slot: u32, // of this window of the tensor
    slots: u32, // of this window
    first_slice: u32,
    shift: u32, // elements of the binding before the window
    inner: u32, // elements in a row
    row_stride: u32, // elements from one row of a slot to its next
    row_words: u32,
    slot_words: u32,
    slices: u32, // of one slot in this window
    slice_units: u32, // of 32 words in each slice
    more_units: u32, // slices with one more of them
    turns: u32, // slots that a lane takes in turns
    piece_words: u32, // of one of them, before the next turn
    lanes: u32, // that walk along one slot, each with every such word of it: a power of two
    step_words: u32, // that many words on are so many words
    step_elements: u32, // and rows that begin so many elements later
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
    row_positions: u32, // before the row that it begins in
}
@group(0) @binding(0) var<uniform> params: Params;

struct Slice {
    slot: u32,
    index: u32, // among all slices of the slot
    begin: u32, // of the slot's words
    end: u32,
}

// Slices are cut in units of 32 words, as evenly as those can be dealt: the first few have one more. No
// lane is without a slot.
fn slice_of(group: u32, lane: u32) -> Slice {
    let block = group / params.slices;
    let i = group - block * params.slices;
    let slot = slot_of_lane(block, lane);
    let begin = i * params.slice_units + min(i, params.more_units);
    let end = begin + params.slice_units + select(0u, 1u, i < params.more_units);
    return Slice(
        params.first_slot + slot,
        params.first_slice + i,
        begin * 32u,
        min(end * 32u, params.slot_words),
    );
}

// The slice of the slot that a lane takes in this turn.
fn in_turn(slice: Slice, turn: u32) -> Slice {
    return Slice(slice.slot + turn * slots_beside(), slice.index, slice.begin, slice.end);
}

// Whether the lane leaves the results of its slice.
fn leaves(lane: u32) -> bool {
    return place_of(lane) == 0u;
}

// The whole of the slot that this lane works on where a workgroup has several: one for each run of
// `lanes`, turn by turn. The last workgroup may have lanes without any; they walk along the last slot and
// write nothing.
fn shared_slot(group: u32, turn: u32, lane: u32) -> Slice {
    let slot = (group * params.turns + turn) * (WORKGROUP / params.lanes) + lane / params.lanes;
    let exists = slot < params.slots;
    let last = params.first_slot + min(slot, params.slots - 1u);
    return Slice(last, 0u, 0u, select(0u, params.slot_words, exists));
}

// The slot that lies behind this one in every row of its batch entry but the last.
fn next_slot(slot: u32) -> u32 {
    let place = slot % params.count;
    return select(slot + 1u, slot - place, place + 1u == params.count);
}

// Word `at` of a slot: word `word` of the row that begins with element `row` of the binding.
struct Cursor {
    at: u32,
    word: u32,
    row: u32,
}

fn cursor_at(slice: Slice, at: u32) -> Cursor {
    let first = params.shift + (slice.slot - params.first_slot) * params.inner;
    let row = at / params.row_words;
    return Cursor(at, at - row * params.row_words, first + row * params.row_stride);
}

// The same place in the slot that a lane takes in this turn, found without a division.
fn cursor_in_turn(c: Cursor, turn: u32) -> Cursor {
    return Cursor(c.at, c.word, c.row + turn * slots_beside() * params.inner);
}

// What a walk needs of the parameters, read once: a software driver would read them again for every
// word.
struct Stride {
    lanes: u32,
    inner: u32,
    row_words: u32,
    row_stride: u32,
    step_words: u32,
    step_elements: u32,
    end: u32,
}

fn stride_of(slice: Slice) -> Stride {
    return Stride(
        params.lanes,
        params.inner,
        params.row_words,
        params.row_stride,
        params.step_words,
        params.step_elements,
        slice.end,
    );
}

// As many words on as there are lanes, without a division.
fn advance(c: Cursor, stride: Stride) -> Cursor {
    let word = c.word + stride.step_words;
    let carry = word >= stride.row_words;
    return Cursor(
        c.at + stride.lanes,
        select(word, word - stride.row_words, carry),
        c.row + stride.step_elements + select(0u, stride.row_stride, carry),
    );
}

// The partial that a slice leaves of its slot.
fn slot_partial(slot: u32, slice: u32) -> u32 {
    return partial_index(slot * params.partials + slice);
}

// Partial i of a statistic, and how many there are: those of its slots, one slot after the other.
fn statistic_partial(statistic: u32, i: u32) -> u32 {
    return partial_index(statistic * params.merged + i);
}

fn statistic_partials() -> u32 {
    return params.merged;
}

// The slot that partial i of a statistic is of.
fn partial_slot(statistic: u32, i: u32) -> u32 {
    return statistic * params.fan + i / params.partials;
}
