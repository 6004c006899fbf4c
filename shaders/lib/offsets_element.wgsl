// An offset for each element of a slot: beta [inner], in whole words, or 0 where there is none.
@group(0) @binding(6) var<storage, read_write> beta: array<Gains>;

fn offset(slot: u32) -> f32 {
    return 0.0;
}

// Word `word` of a slot, plus its offsets.
fn offset_by(v: Word, word: u32) -> Word {
    if has(HAS_BETA) {
        return v + unpack_gains(beta[word]);
    }
    return v;
}
