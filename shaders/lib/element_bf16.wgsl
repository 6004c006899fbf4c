// The upper halves of f32, two to a u32, the first in its low half.
fn unpack_halves(v: u32) -> vec2<f32> {
    return bitcast<vec2<f32>>(vec2<u32>(v << 16u, v & 0xffff0000u));
}

// Rounded to nearest, ties to even; what rounds beyond the largest is an infinity, and a NaN stays one. In
// integers, since a compiler may assume that a float is never NaN.
fn pack_halves(w: vec2<f32>) -> u32 {
    let bits = bitcast<vec2<u32>>(w);
    let cut = bits >> vec2<u32>(16u);
    let rounded = (bits + vec2<u32>(0x7fffu) + (cut & vec2<u32>(1u))) >> vec2<u32>(16u);
    let is_nan = (bits & vec2<u32>(0x7fffffffu)) > vec2<u32>(0x7f800000u);
    let half = select(rounded, cut | vec2<u32>(0x40u), is_nan);
    return half.x | (half.y << 16u);
}

// A pivot near `k` that leaves sums of x - K as few places as can be. A K with more places than the values
// would be in each x - K, and every rounding of their sums would err to the same side: by more than f32's
// usual error of a mean.
fn coarse(k: f32) -> f32 {
    return unpack_halves(pack_halves(vec2<f32>(k, 0.0))).x;
}
