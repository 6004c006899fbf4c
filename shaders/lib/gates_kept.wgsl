// Which elements of dy pass an activation that followed the norm: those whose bits the forward kept, see
// tail.wgsl, or all where it kept none. Uses flags.wgsl, state.wgsl and word_where.wgsl.
fn gate_bits(i: u32) -> u32 {
    if has(GATED) {
        return state[i];
    }
    return 0u;
}

// (scale, shift) of y in a slot, which nobody asks for here.
fn gate_affine(slot: u32, saved: vec4<f32>) -> vec2<f32> {
    return vec2<f32>(0.0);
}

// The elements of dy that pass. `bits` begins with those of this word.
fn gated(dy: Word, centred: Word, scale: Word, shift: Word, word: u32, bits: u32) -> Word {
    if !has(GATED) {
        return dy;
    }
    return word_where(dy, bits);
}
