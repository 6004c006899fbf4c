// A gain for each element of a slot: gamma [inner], in whole words, or 1 where there is none.
@group(0) @binding(5) var<storage, read_write> gamma: array<Gains>;

const ELEMENT_GAINS: bool = true;

fn gain(slot: u32) -> f32 {
    return 1.0;
}

// Word `word` of a slot, times its gains.
fn gained(v: Word, word: u32) -> Word {
    if has(HAS_GAMMA) {
        return v * unpack_gains(gamma[word]);
    }
    return v;
}
