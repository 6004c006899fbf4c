// The residual is x itself: one binding serves both.
const HAS_RESIDUAL: bool = true;

fn load_residual(i: u32) -> Word {
    return load_x(i);
}
