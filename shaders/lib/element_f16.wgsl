// 16-bit floats, two to a u32, the first in its low half. In integers, since not every device has
// unpack2x16float, and some would flush what is below the smallest normal.
fn unpack_halves(v: u32) -> vec2<f32> {
    let half = vec2<u32>(v, v >> 16u);
    let size = (half & vec2<u32>(0x7fffu)) << vec2<u32>(13u);
    // The exponent starts at another place, and ends there too for infinities and NaN.
    let is_finite = size < vec2<u32>(0x0f800000u);
    let normal = size + select(vec2<u32>(0x70000000u), vec2<u32>(0x38000000u), is_finite);
    // Below the smallest normal the leading one that a float has is too much.
    let one = vec2<f32>(0x1p-14f);
    let small = bitcast<vec2<u32>>(bitcast<vec2<f32>>(size + vec2<u32>(0x38800000u)) - one);
    let bits = select(normal, small, size < vec2<u32>(0x00800000u));
    return bitcast<vec2<f32>>(bits | ((half & vec2<u32>(0x8000u)) << vec2<u32>(16u)));
}

// Rounded to nearest, ties to even; what rounds beyond 65,504 is an infinity and a NaN stays one. In
// integers, since pack2x16float may round as it likes, gives anything for a value that f16 does not reach,
// and a compiler may assume that a float is never NaN.
fn pack_halves(w: vec2<f32>) -> u32 {
    let bits = bitcast<vec2<u32>>(w);
    let sign = (bits >> vec2<u32>(16u)) & vec2<u32>(0x8000u);
    let size = bits & vec2<u32>(0x7fffffffu);
    // The exponent starts at another place, and a carry out of the mantissa may raise it.
    let odd = (size >> vec2<u32>(13u)) & vec2<u32>(1u);
    let normal = (size - vec2<u32>(0x37fff001u) + odd) >> vec2<u32>(13u);
    // Below 2^-14 the last place is that of a float beside 0.5, so an addition rounds.
    let small = bitcast<vec2<u32>>(bitcast<vec2<f32>>(size) + vec2<f32>(0.5)) - vec2<u32>(0x3f000000u);
    var half = select(normal, small, size < vec2<u32>(0x38800000u));
    half = select(half, vec2<u32>(0x7c00u), size >= vec2<u32>(0x47800000u));
    half = select(half, vec2<u32>(0x7e00u), size > vec2<u32>(0x7f800000u)) | sign;
    return half.x | (half.y << 16u);
}
