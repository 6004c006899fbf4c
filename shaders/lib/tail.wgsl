// What follows a norm in its forward: y = act(v + residual). Where a residual was added, the backward
// cannot compute again which elements passed the activation: their bits are kept in the state, a bit for
// each element of a lane's words in the order in which it goes through them. Uses flags.wgsl, state.wgsl
// and io_residual*.wgsl.
fn tailed(v: Word, residual: Word) -> Word {
    var y = v;
    if HAS_RESIDUAL {
        y += residual;
    }
    if has(RELU) {
        y = rectified(y);
    }
    return y;
}

// max(0, y), in which a NaN stays: by the bits of what lies below 0, from the least to minus infinity,
// since compilers make of a comparison of floats a maximum that hides it (llvmpipe's GL does).
fn rectified(y: Word) -> Word {
    let bits = bitcast<vec4<u32>>(word_split(y));
    let is_below = bits - vec4<u32>(0x80000001u) <= vec4<u32>(0x7f7fffffu);
    let v = select(word_split(y), vec4<f32>(0.0), is_below);
    return word_from(array<f32, 4>(v.x, v.y, v.z, v.w));
}

// A bit for each element of the word that passed.
fn gate_of(y: Word) -> u32 {
    let bits = select(vec4<u32>(0u), vec4<u32>(1u, 2u, 4u, 8u), word_split(y) > vec4<f32>(0.0));
    return (bits.x | bits.y) | (bits.z | bits.w);
}
