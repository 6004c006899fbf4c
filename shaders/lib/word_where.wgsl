// The elements of a word whose bits are set, the first one's the lowest, and 0 for the others.
fn word_where(v: Word, bits: u32) -> Word {
    let chosen = (vec4<u32>(bits) & vec4<u32>(1u, 2u, 4u, 8u)) != vec4<u32>(0u);
    let w = select(vec4<f32>(0.0), word_split(v), chosen);
    return word_from(array<f32, 4>(w.x, w.y, w.z, w.w));
}
