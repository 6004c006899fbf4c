// The pivot of what is held: the mean of all of it or, of more than a chunk, of some, as far as one f32 can name
// it; from `base`, which is one of the values, and the sums of so many distances from it and of their magnitudes.
// That of some is rounded to a sixteenth of their mean distance: x - K has few places more than x then, so
// that sums of small integers stay exact.
// The mean of one value in sixteen is never further than 4 standard deviations from that of all, and next to it
// but where values are made for that. Uses held.wgsl.
fn held_pivot(base: f32, sums: vec2<f32>, n: f32) -> f32 {
    if HELD <= CHUNK {
        return coarse(base + sums.x / params.n);
    }
    let means = sums / n;
    let step = bitcast<f32>(bitcast<u32>(means.y) & 0x7f800000u) / 16.0;
    return coarse(base + select(0.0, round(means.x / step) * step, step > 0.0));
}
