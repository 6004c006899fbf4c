// The elements of a slot have no gain or offset of their own.
const ELEMENT_GAINS: bool = false;

fn gained(v: Word, word: u32) -> Word {
    return v;
}

fn offset_by(v: Word, word: u32) -> Word {
    return v;
}
