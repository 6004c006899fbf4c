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
        // A NaN is not below 0, and stays.
        y = select(y, Word(0.0), y < Word(0.0));
    }
    return y;
}

// A bit for each element of the word that passed.
fn gate_of(y: Word) -> u32 {
    let bits = select(vec4<u32>(0u), vec4<u32>(1u, 2u, 4u, 8u), word_split(y) > vec4<f32>(0.0));
    return (bits.x | bits.y) | (bits.z | bits.w);
}

// Where a lane of the workgroup of a slice keeps its first bits; its next ones lie WORKGROUP words on.
fn gate_index(group: u32, lane: u32) -> u32 {
    return params.gates + group * params.lane_gates * WORKGROUP + lane;
}
