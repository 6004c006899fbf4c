// A value of the probes of f32 is the bits of four elements.
alias Value = vec4<u32>;

fn both(a: Value, b: Value) -> Value {
    return a ^ b;
}

// The sum keeps drivers from turning unpack and pack into nothing: lavapipe takes up to 1.7 times as
// long to store 64-bit words that it has not put together itself (measured).
fn kept(value: Value, zero: u32) -> Value {
    return value + vec4<u32>(zero);
}
