// Rows that begin and end within a word, such as planes of 7x7. To read, a slot masks what is not
// its own at both ends. To write, a word belongs to the slot of its first element, whose workgroup
// writes the next slot's elements of that word too: all stores are of whole words, and no word has two
// writers, but for the first word of a window that keeps its ends (element_ends_*.wgsl). A word touches two slots at
// the most, since rows are no shorter than one, or than one element less.
const STRADDLES: bool = true;

// The word of the buffer that the cursor stands on.
fn word_of(c: Cursor) -> u32 {
    return c.row / WIDTH + c.word;
}

// The elements of the word that belong to the slot and lie before the slice's end; the others as 0.
fn members(v: Word, c: Cursor, stride: Stride) -> Word {
    let first = word_of(c) * WIDTH - c.row;
    let inner = select(0u, stride.inner, c.at < stride.end);
    return select(Word(0.0), v, Places(first) + PLACES < Places(inner));
}

// How many elements of the slot lie before word `at` of it.
fn elements_before(slice: Slice, at: u32) -> u32 {
    let c = cursor_at(slice, at);
    let in_row = clamp(word_of(c) * WIDTH, c.row, c.row + params.inner) - c.row;
    return at / params.row_words * params.inner + in_row;
}

// The word that the workgroup of this slice writes for the cursor, and whether there is one.
fn written_word(c: Cursor) -> u32 {
    if KEEPS_ENDS && c.row == params.shift {
        return word_of(c);
    }
    return (c.row + WIDTH - 1u) / WIDTH + c.word;
}

fn writes(c: Cursor, stride: Stride) -> bool {
    return c.at < stride.end && written_word(c) * WIDTH < c.row + stride.inner;
}

// Where gains_*.wgsl finds those of the word that is read or written: the first one's place in the row.
fn read_gains(c: Cursor) -> u32 {
    return word_of(c) * WIDTH - c.row;
}

fn written_gains(c: Cursor) -> u32 {
    return written_word(c) * WIDTH - c.row;
}

// A value of the slot, and of the next slot's elements in a word that straddles both.
fn spread(own: f32, next: f32, c: Cursor, stride: Stride) -> Word {
    let first = written_word(c) * WIDTH - c.row;
    return select(Word(next), Word(own), Places(first) + PLACES < Places(stride.inner));
}
