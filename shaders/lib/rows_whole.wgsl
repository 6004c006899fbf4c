// Rows of whole words: every word belongs to one slot.
const STRADDLES: bool = false;

// The word of the buffer that the cursor stands on.
fn word_of(c: Cursor) -> u32 {
    return c.row / WIDTH + c.word;
}

// The elements of the word that belong to the slot and lie before the slice's end; the others as 0.
fn members(v: Word, c: Cursor, stride: Stride) -> Word {
    return select(Word(0.0), v, c.at < stride.end);
}

// How many elements of the slot lie before word `at` of it.
fn elements_before(slice: Slice, at: u32) -> u32 {
    return at * WIDTH;
}

// The word that the workgroup of this slice writes for the cursor, and whether there is one.
fn written_word(c: Cursor) -> u32 {
    return word_of(c);
}

fn writes(c: Cursor, stride: Stride) -> bool {
    return c.at < stride.end;
}

// Where gains_*.wgsl finds those of the word that is read or written: its number in the row.
fn read_gains(c: Cursor) -> u32 {
    return c.word;
}

fn written_gains(c: Cursor) -> u32 {
    return c.word;
}

// A value of the slot, and of the next slot's elements in a word that straddles both.
fn spread(own: f32, next: f32, c: Cursor, stride: Stride) -> Word {
    return Word(own);
}
