// No gradient by a residual is wanted.
fn store_dresidual(i: u32, value: Word) {
}

// Whether there is anything to write for each element.
fn writes_words() -> bool {
    return has(WANT_DX);
}
