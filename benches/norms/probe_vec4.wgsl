// A word of the probes of f32 where loads and stores of vectors are whole ones.
alias Stored = vec4<u32>;

fn unpack(v: Stored) -> vec4<u32> {
    return v;
}

fn pack(w: vec4<u32>) -> Stored {
    return w;
}
