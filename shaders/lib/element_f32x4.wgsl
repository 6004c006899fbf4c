// One word is four consecutive f32: the widest load that every backend has.
// Linked instead of element_f32.wgsl; kernels are written in words and serve both.
alias Word = vec4<f32>;
const WIDTH: u32 = 4u;
// The places of its elements.
alias Places = vec4<u32>;
const PLACES: Places = Places(0u, 1u, 2u, 3u);
// What a buffer holds.
alias Stored = vec4<f32>;

fn unpack(v: Stored) -> Word {
    return v;
}

fn pack(w: Word) -> Stored {
    return w;
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
