// Which elements of dy pass an activation that followed the norm: those whose bits the forward kept, see
// tail.wgsl, or all where it kept none. Uses flags.wgsl and state.wgsl.
fn gate_index(group: u32, lane: u32) -> u32 {
    return params.gates + group * params.lane_gates * WORKGROUP + lane;
}

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
    let passes = (vec4<u32>(bits) & vec4<u32>(1u, 2u, 4u, 8u)) != vec4<u32>(0u);
    let v = select(vec4<f32>(0.0), word_split(dy), passes);
    return word_from(array<f32, 4>(v.x, v.y, v.z, v.w));
}
