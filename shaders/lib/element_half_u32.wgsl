// One word is two consecutive 16-bit elements in a u32: the least that an invocation may write, since two
// that wrote one u32 would undo each other. For tensors that are not whole wider words; the last word of an
// odd number of elements ends beyond them, within the tensor's bytes. Uses element_f16.wgsl or element_bf16.wgsl.
alias Word = vec2<f32>;
const WIDTH: u32 = 2u;
// The places of its elements.
alias Places = vec2<u32>;
const PLACES: Places = Places(0u, 1u);
// What a buffer holds.
alias Stored = u32;

fn unpack(v: Stored) -> Word {
    return unpack_halves(v);
}

fn pack(w: Word) -> Stored {
    return pack_halves(w);
}

// Two f32 of what each element of a slot has.
alias Gains = vec2<f32>;

fn unpack_gains(v: Gains) -> Word {
    return v;
}

fn word_sum(w: Word) -> f32 {
    return w.x + w.y;
}

// The word whose components are the first WIDTH of `v`; an array, since not every compiler behind
// wgpu can write a vector's component by a variable index.
fn word_from(v: array<f32, 4>) -> Word {
    return vec2<f32>(v[0], v[1]);
}

fn word_split(w: Word) -> vec4<f32> {
    return vec4<f32>(w, 0.0, 0.0);
}
