// x in the very place of dx: one binding serves both, since WebGPU forbids to bind it twice.
fn load_x(i: u32) -> Word {
    return unpack_at(i, dx[stored_at(i)]);
}
