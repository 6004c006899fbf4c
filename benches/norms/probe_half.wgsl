// A value of the probes of 16-bit types is four elements as floats, converted as the library's kernels do:
// shaders/lib/element_half_*.wgsl with element_f16.wgsl or element_bf16.wgsl come before this.
alias Value = Word;

fn both(a: Value, b: Value) -> Value {
    return a + b;
}

// A conversion and its reverse make one NaN of all, so that no compiler leaves both out.
fn kept(value: Value, zero: u32) -> Value {
    return value;
}
