// Which elements are valid: a bit in the state for each position, which is an element's place apart from
// its channel. What is not valid counts in no sum, is written as 0 and may be NaN. Uses flags.wgsl,
// state.wgsl and word_where.wgsl.
fn is_valid(position: u32) -> bool {
    let bits = state[params.mask + (position >> 5u)];
    return ((bits >> (position & 31u)) & 1u) != 0u;
}

// The elements of a word that are valid, and 0 for the others.
fn valid(v: Word, bits: u32) -> Word {
    if has(MASKED) {
        return word_where(v, bits);
    }
    return v;
}

// How many values a statistic is of.
fn statistic_n(c: u32) -> f32 {
    if has(MASKED) && !has(USE_RUNNING) {
        return state_at(1u + params.count + c).x;
    }
    return params.n;
}
