// One word is four consecutive f32 that lie in two 64-bit integers. Software drivers load component
// by component, so fewer and wider ones are faster: on lavapipe loads take half the time of vec4<f32>'s.
// Linked for them instead of element_f32x4.wgsl; needs SHADER_INT64.
alias Word = vec4<f32>;
const WIDTH: u32 = 4u;
// The places of its elements.
alias Places = vec4<u32>;
const PLACES: Places = Places(0u, 1u, 2u, 3u);
// What a buffer holds.
alias Stored = vec2<u64>;

fn unpack(v: Stored) -> Word {
    let even = bitcast<vec2<f32>>(vec2<u32>(v));
    let odd = bitcast<vec2<f32>>(vec2<u32>(v >> vec2<u32>(32u)));
    return vec4<f32>(even.x, odd.x, even.y, odd.y);
}

fn pack(w: Word) -> Stored {
    let bits = bitcast<vec4<u32>>(w);
    return vec2<u64>(bits.xz) | (vec2<u64>(bits.yw) << vec2<u32>(32u));
}

// What a buffer holds of what each element of a slot has.
alias Gains = Stored;

fn unpack_gains(v: Gains) -> Word {
    return unpack(v);
}

// A pivot near `k` that leaves sums of x - K as few places as can be.
fn coarse(k: f32) -> f32 {
    return k;
}

fn word_sum(w: Word) -> f32 {
    return (w.x + w.y) + (w.z + w.w);
}

// The word whose components are the first WIDTH of `v`; an array, since not every compiler behind
// wgpu can write a vector's component by a variable index.
fn word_from(v: array<f32, 4>) -> Word {
    return vec4<f32>(v[0], v[1], v[2], v[3]);
}

fn word_split(w: Word) -> vec4<f32> {
    return w;
}
