// Loads and stores what a strategy must and does nothing else: the floor of an operation. The host
// half, probe.rs, puts one of probe_*.wgsl before these: what a word of four elements is in a buffer,
// Stored, how it becomes a Value and back, and what two of them come to.
//
// The tensor is seen as `slots` that each consist of pieces of `inner` neighbouring elements, one
// every `row_stride` elements; a single slot of a single piece is the whole tensor in its order. A
// slot's words are those of its pieces one after the other, cut into slices of one group each, so
// that short pieces leave no lane idle.
struct Params {
    grid_width: u32,
    groups: u32,
    slices: u32, // of one slot
    slice_words: u32,
    inner: u32,
    row_words: u32, // words that a piece touches at the most
    row_stride: u32,
    slot_words: u32,
    step_words: u32, // a step on are so many words
    step_elements: u32, // and pieces that begin so many elements later
    zero: u32, // added to what is stored, see kept
}

override WORKGROUP: u32 = 256;
// Whether pieces begin and end within words.
override RAGGED: bool = false;
// Groups that have a place of their own in the sink.
const SINK_GROUPS: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Stored>;
@group(0) @binding(2) var<storage, read> dy: array<Stored>;
@group(0) @binding(3) var<storage, read_write> y: array<Stored>;
@group(0) @binding(4) var<storage, read_write> sink: array<Stored>;
@group(0) @binding(5) var<storage, read_write> other: array<Stored>;

// The parameters in registers, since a software driver would load them again for every word.
struct Walk {
    inner: u32,
    row_words: u32,
    row_stride: u32,
    step_words: u32,
    step_elements: u32,
    zero: u32,
    end: u32,
}

// Word `at` of a slot: word `word` of the piece that begins with element `row`.
struct Cursor {
    at: u32,
    word: u32,
    row: u32,
}

fn walk_of(group: u32) -> Walk {
    let begin = group % params.slices * params.slice_words;
    return Walk(
        params.inner,
        params.row_words,
        params.row_stride,
        params.step_words,
        params.step_elements,
        params.zero,
        min(begin + params.slice_words, params.slot_words),
    );
}

fn first(group: u32, lane: u32) -> Cursor {
    let at = group % params.slices * params.slice_words + lane;
    let piece = at / params.row_words;
    let start = group / params.slices * params.inner;
    return Cursor(at, at - piece * params.row_words, start + piece * params.row_stride);
}

fn advance(c: Cursor, walk: Walk) -> Cursor {
    let word = c.word + walk.step_words;
    let carry = word >= walk.row_words;
    return Cursor(
        c.at + WORKGROUP,
        select(word, word - walk.row_words, carry),
        c.row + walk.step_elements + select(0u, walk.row_stride, carry),
    );
}

fn word_of(c: Cursor) -> u32 {
    return c.row / 4u + c.word;
}

fn load_x(c: Cursor) -> Value {
    return unpack(x[word_of(c)]);
}

fn load_dy(c: Cursor) -> Value {
    return unpack(dy[word_of(c)]);
}

// To store, a word belongs to the piece of its first element.
fn stored_word(c: Cursor) -> u32 {
    return select(c.row, c.row + 3u, RAGGED) / 4u + c.word;
}

fn put(word: u32, c: Cursor, walk: Walk, value: Value, twice: bool) {
    if !RAGGED || word * 4u < c.row + walk.inner {
        let stored = pack(kept(value, walk.zero));
        y[word] = stored;
        if twice {
            other[word] = stored;
        }
    }
}

// The loads of one or two tensors. What was loaded is folded and stored once per lane, or a compiler
// would leave the loads out.
fn load(group: u32, lane: u32, two: bool) {
    let walk = walk_of(group);
    var c0 = first(group, lane);
    var sum = Value();
    while c0.at + 3u * WORKGROUP < walk.end {
        let c1 = advance(c0, walk);
        let c2 = advance(c1, walk);
        let c3 = advance(c2, walk);
        sum += both(load_x(c0), load_x(c1)) + both(load_x(c2), load_x(c3));
        if two {
            sum += both(load_dy(c0), load_dy(c1)) + both(load_dy(c2), load_dy(c3));
        }
        c0 = advance(c3, walk);
    }
    while c0.at < walk.end {
        sum += load_x(c0);
        if two {
            sum += load_dy(c0);
        }
        c0 = advance(c0, walk);
    }
    sink[group % SINK_GROUPS * WORKGROUP + lane] = pack(sum);
}

fn input(word: u32, two: bool) -> Value {
    if two {
        return both(unpack(x[word]), unpack(dy[word]));
    }
    return unpack(x[word]);
}

// The loads of one or two tensors and the stores of one or two others.
fn move_all(group: u32, lane: u32, two: bool, twice: bool) {
    let walk = walk_of(group);
    var c0 = first(group, lane);
    while c0.at + 3u * WORKGROUP < walk.end {
        let c1 = advance(c0, walk);
        let c2 = advance(c1, walk);
        let c3 = advance(c2, walk);
        let i0 = stored_word(c0);
        let i1 = stored_word(c1);
        let i2 = stored_word(c2);
        let i3 = stored_word(c3);
        let v0 = input(i0, two);
        let v1 = input(i1, two);
        let v2 = input(i2, two);
        let v3 = input(i3, two);
        put(i0, c0, walk, v0, twice);
        put(i1, c1, walk, v1, twice);
        put(i2, c2, walk, v2, twice);
        put(i3, c3, walk, v3, twice);
        c0 = advance(c3, walk);
    }
    while c0.at < walk.end {
        let i0 = stored_word(c0);
        put(i0, c0, walk, input(i0, two), twice);
        c0 = advance(c0, walk);
    }
}

@compute @workgroup_size(WORKGROUP)
fn load_one(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = id.y * params.grid_width + id.x;
    if group < params.groups {
        load(group, lane, false);
    }
}

@compute @workgroup_size(WORKGROUP)
fn load_two(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = id.y * params.grid_width + id.x;
    if group < params.groups {
        load(group, lane, true);
    }
}

// The second pass walks backwards: what the first one read last is still in cache.
@compute @workgroup_size(WORKGROUP)
fn move_one(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = id.y * params.grid_width + id.x;
    if group < params.groups {
        move_all(params.groups - 1u - group, lane, false, false);
    }
}

@compute @workgroup_size(WORKGROUP)
fn move_two(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = id.y * params.grid_width + id.x;
    if group < params.groups {
        move_all(params.groups - 1u - group, lane, true, false);
    }
}

@compute @workgroup_size(WORKGROUP)
fn move_two_twice(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let group = id.y * params.grid_width + id.x;
    if group < params.groups {
        move_all(params.groups - 1u - group, lane, true, true);
    }
}
