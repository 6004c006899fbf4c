// 16-bit floats, two to a u32, the first in its low half.

// With integers and exact f32 operations, since not every device has unpack2x16float, and some would flush
// what is below the smallest normal.
fn unpack_halves(v: u32) -> vec2<f32> {
    let halves = vec2<u32>(v << 16u, v);
    let size = (halves & vec2<u32>(0x7fff0000u)) >> vec2<u32>(3u);
    // The exponent ends where a float's does, so that an infinity stays one, and so is too large.
    let large = bitcast<vec2<f32>>(size + vec2<u32>(0x70000000u)) * 0x1p-112f;
    // Below the smallest normal, where a half has no leading one, a float's is taken off again.
    let small = bitcast<vec2<f32>>(size + vec2<u32>(0x38800000u)) - vec2<f32>(0x1p-14f);
    let bits = bitcast<vec2<u32>>(select(large, small, size < vec2<u32>(0x00800000u)));
    return bitcast<vec2<f32>>(bits | (halves & vec2<u32>(0x80000000u)));
}

// Rounded to nearest, ties to even; what rounds beyond 65,504 is an infinity and a NaN stays one.
// pack2x16float may round as it likes and gives anything for a value that f16 does not reach. That is
// asked of integers, since a compiler may assume that a float is neither infinite nor NaN.
fn pack_halves(w: vec2<f32>) -> u32 {
    let bits = bitcast<vec2<u32>>(w);
    let size = bits & vec2<u32>(0x7fffffffu);
    // As a half, 65,536 would be the infinity.
    let reached = min(size, vec2<u32>(0x47800000u));
    // 2^13 times its power of two, or that of the smallest normal: of what is added to it as many places
    // are left as a half has, and they are rounded.
    let far = max(reached & vec2<u32>(0x7f800000u), vec2<u32>(0x38800000u)) + vec2<u32>(0x06800000u);
    let sum = bitcast<vec2<u32>>(bitcast<vec2<f32>>(reached) + bitcast<vec2<f32>>(far));
    let rounded = (sum - far) + ((far >> vec2<u32>(13u)) - vec2<u32>(0x1f800u));
    let halves = select(rounded, vec2<u32>(0x7e00u), size > vec2<u32>(0x7f800000u));
    let sign = bits & vec2<u32>(0x80000000u);
    return (halves.x | (halves.y << 16u)) | ((sign.x >> 16u) | sign.y);
}

// A pivot near `k` that leaves sums of x - K as few places as can be. A K with more places than the values
// would be in each x - K, and every rounding of their sums would err to the same side: by more than f32's
// usual error of a mean.
fn coarse(k: f32) -> f32 {
    return unpack_halves(pack_halves(vec2<f32>(k, 0.0))).x;
}
