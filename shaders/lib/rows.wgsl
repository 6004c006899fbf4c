// Split rows: the tensor is [outer][count][inner] and `inner` is long, so a slot's members come in
// rows of consecutive words. A slice is a rectangle of its slot, rows by words, and belongs to one
// workgroup; a power of two of lanes works on one row, the other lanes on the next ones.
// Partials lie [count][slices]. The host half of Params is src/kernels/params.rs.
struct Params {
    grid_width: u32,
    groups: u32,
    count: u32,
    outer: u32,
    inner: u32, // words in a row
    slices: u32, // of one slot
    slice_rows: u32,
    segments: u32, // pieces that a row is cut into
    segment_words: u32,
    lane_bits: u32, // log2 of the lanes that share a row
    flags: u32,
    n: f32, // elements in a slot
    eps: f32,
    old_weight: f32,
    new_weight: f32,
    running_divisor: f32, // n - 1 or n: what M2 is divided by for running_var
}
@group(0) @binding(0) var<uniform> params: Params;

struct Slice {
    slot: u32,
    index: u32,
    row_begin: u32,
    row_end: u32,
    word_begin: u32,
    word_end: u32,
}

fn slice_of(group: u32) -> Slice {
    let slot = group / params.slices;
    let index = group % params.slices;
    let row_begin = (index / params.segments) * params.slice_rows;
    let word_begin = (index % params.segments) * params.segment_words;
    return Slice(
        slot,
        index,
        row_begin,
        min(row_begin + params.slice_rows, params.outer),
        word_begin,
        min(word_begin + params.segment_words, params.inner),
    );
}

// Where the words of one row of the slot start.
fn row_base(slot: u32, row: u32) -> u32 {
    return (row * params.count + slot) * params.inner;
}

fn slot_partials() -> u32 {
    return params.slices;
}

fn slot_partial(slot: u32, slice: u32) -> u32 {
    return partial_index(slot * params.slices + slice);
}

// The lanes that share a row, and how this one walks: from row `first_row` by `row_step`, and in
// each row from word `first_word` by `lanes`.
struct Walk {
    lanes: u32,
    row_step: u32,
    first_row: u32,
    first_word: u32,
}

fn walk_of(lane: u32, slice: Slice) -> Walk {
    let lanes = 1u << params.lane_bits;
    return Walk(
        lanes,
        WORKGROUP >> params.lane_bits,
        slice.row_begin + (lane >> params.lane_bits),
        slice.word_begin + (lane & (lanes - 1u)),
    );
}

// Word i of the slice, or `own`, the lane's own one, behind its end: what is loaded there is thrown
// away, but must not be another lane's, who may be writing it where a tensor is worked on in place.
fn within(i: u32, own: u32, slice: Slice) -> u32 {
    return select(own, i, i < slice.word_end);
}
