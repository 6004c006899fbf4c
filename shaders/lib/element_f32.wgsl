// One word is one f32: for tensors whose rows do not fill whole vec4s.
// Linked instead of element_f32x4.wgsl; kernels are written in words and serve both.
alias Word = f32;
const WIDTH: u32 = 1u;
// What a buffer holds.
alias Stored = f32;

fn unpack(v: Stored) -> Word {
    return v;
}

fn pack(w: Word) -> Stored {
    return w;
}

// What a buffer holds of what each element of a slot has.
alias Gains = f32;

fn unpack_gains(v: Gains) -> Word {
    return v;
}

// A pivot near `k` that leaves sums of x - K as few places as can be.
fn coarse(k: f32) -> f32 {
    return k;
}

fn word_sum(w: Word) -> f32 {
    return w;
}

// The word whose components are the first WIDTH of `v`; an array, since not every compiler behind
// wgpu can write a vector's component by a variable index.
fn word_from(v: array<f32, 4>) -> Word {
    return v[0];
}

fn word_split(w: Word) -> vec4<f32> {
    return vec4<f32>(w, 0.0, 0.0, 0.0);
}
