// A word of the probes of f32 for software drivers: they load component by component, so fewer and wider ones
// are faster.
alias Stored = vec2<u64>;

fn unpack(v: Stored) -> vec4<u32> {
    let even = vec2<u32>(v);
    let odd = vec2<u32>(v >> vec2<u32>(32u));
    return vec4<u32>(even.x, odd.x, even.y, odd.y);
}

fn pack(w: vec4<u32>) -> Stored {
    return vec2<u64>(w.xz) | (vec2<u64>(w.yw) << vec2<u32>(32u));
}
