// Which elements of dy pass an activation that followed the norm: those with y > 0, and y is computed from
// x again, as the forward did. Uses corrections.wgsl, gains_*.wgsl and offsets_*.wgsl.
fn gate_bits(i: u32) -> u32 {
    return 0u;
}

// (scale, shift) of y in a slot, from its saved statistics.
fn gate_affine(slot: u32, saved: vec4<f32>) -> vec2<f32> {
    let rd = saved_corrections(statistic_of(slot), saved);
    return vec2<f32>(saved.z * rd.x * gain(slot), rd.y * gain(slot) + offset(slot));
}

// The elements of dy that pass, given x - mean.
fn gated(dy: Word, centred: Word, scale: Word, shift: Word, word: u32, bits: u32) -> Word {
    let y = offset_by(gained(centred * scale, word) + shift, word);
    return select(Word(0.0), dy, y > Word(0.0));
}
