// One word is one 16-bit element of the two in a u32. For rows of an odd number of elements that each have
// a statistic, in dispatches that write no activation. Uses element_f16.wgsl or element_bf16.wgsl.
alias Word = f32;
const WIDTH: u32 = 1u;
// What a buffer holds.
alias Stored = u32;

// Where word i is stored, and which it is of what lies there.
fn stored_at(i: u32) -> u32 {
    return i / 2u;
}

fn unpack_at(i: u32, v: Stored) -> Word {
    return unpack_halves(v)[i % 2u];
}

// Kernels that can write link it, but are told not to.
fn pack(w: Word) -> Stored {
    return pack_halves(vec2<f32>(w, 0.0));
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
