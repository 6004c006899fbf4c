// No x at all: the backward through running statistics does not need it for dx.
fn load_x(i: u32) -> Word {
    return Word(0.0);
}
