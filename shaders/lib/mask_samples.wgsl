// Valid positions for the samples of a pivot. Uses mask.wgsl and moments.wgsl.

// The first valid position from `begin` on, or `end` where there is none before that.
fn next_valid(begin: u32, end: u32) -> u32 {
    var i = begin >> 5u;
    var bits = state[params.mask + i] & (0xffffffffu << (begin & 31u));
    let last = (end - 1u) >> 5u;
    while bits == 0u && i < last {
        i += 1u;
        bits = state[params.mask + i];
    }
    if bits == 0u {
        return end;
    }
    return min(i * 32u + firstTrailingBit(bits), end);
}

// A valid position about that of sample i of ten, or else `first`, which is the first one of all.
fn valid_sample(i: u32, begin: u32, end: u32, first: u32) -> u32 {
    let from_here = begin + sample_at(i, end - begin);
    let until = min(from_here + 1024u, end);
    let position = next_valid(from_here, until);
    return select(position, first, position == until);
}
