// The residual in the very place of y: one binding serves both, since WebGPU forbids to bind it twice.
const HAS_RESIDUAL: bool = true;

fn load_residual(i: u32) -> Word {
    return unpack_at(i, y[stored_at(i)]);
}
