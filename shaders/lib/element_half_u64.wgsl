// One word is four consecutive 16-bit elements in a 64-bit integer, which a software driver loads at once.
// Linked for them instead of element_half_u32x2.wgsl; needs SHADER_INT64. Uses element_f16.wgsl or element_bf16.wgsl.
alias Word = vec4<f32>;
const WIDTH: u32 = 4u;
// The places of its elements.
alias Places = vec4<u32>;
const PLACES: Places = Places(0u, 1u, 2u, 3u);
// What a buffer holds.
alias Stored = u64;

fn unpack(v: Stored) -> Word {
    return vec4<f32>(unpack_halves(u32(v)), unpack_halves(u32(v >> 32u)));
}

fn pack(w: Word) -> Stored {
    return u64(pack_halves(w.xy)) | (u64(pack_halves(w.zw)) << 32u);
}

// Four f32 of what each element of a slot has.
alias Gains = vec4<f32>;

fn unpack_gains(v: Gains) -> Word {
    return v;
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
