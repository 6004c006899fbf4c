// The words of a slot that a lane holds: every `lanes`-th from its place in the run of lanes on. Beyond
// the slot's end it holds some word of the slot, which counts in no sum and is not written.
// Uses rows.wgsl, held.wgsl and flags.wgsl.
struct Held {
    first: u32, // word of the slot
    last: u32, // word of a slot that is one row
    run: u32, // the lane's place
    lanes: u32,
    end: u32, // of the slot's words; 0 for a lane without a slot
}

// Where the words of a slot of several rows lie.
var<private> held_words: array<u32, HELD>;

fn held_of(slice: Slice, lane: u32) -> Held {
    let stride = stride_of(slice);
    let first = word_of(cursor_at(slice, 0u));
    let run = lane & (stride.lanes - 1u);
    if !has(ONE_ROW) {
        var c = cursor_at(slice, run);
        for (var i = 0u; i < HELD; i++) {
            held_words[i] = select(first, word_of(c), c.at < stride.end);
            c = advance(c, stride);
        }
    }
    return Held(first, stride.row_words - 1u, run, stride.lanes, stride.end);
}

fn held_word(held: Held, i: u32) -> u32 {
    if has(ONE_ROW) && has(FULL) {
        return held.first + held.run + i * held.lanes;
    }
    if has(ONE_ROW) {
        return held.first + min(held.run + i * held.lanes, held.last);
    }
    return held_words[i];
}

fn is_held(held: Held, i: u32) -> bool {
    return has(FULL) || held.run + i * held.lanes < held.end;
}

// The gains of the words that a lane holds are the same for all of its slots.
fn gain_word(lane: u32, i: u32) -> u32 {
    return min((lane & (params.lanes - 1u)) + i * params.lanes, params.row_words - 1u);
}
