// The elements of a slot have no gain or offset of their own.
fn gained(v: Word, word: u32) -> Word {
    return v;
}

fn offset_by(v: Word, word: u32) -> Word {
    return v;
}
