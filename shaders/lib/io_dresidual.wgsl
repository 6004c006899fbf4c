// The gradient by the residual: dy where it passed the activation.
@group(0) @binding(10) var<storage, read_write> dresidual: array<Stored>;

fn store_dresidual(i: u32, value: Word) {
    if !has(WANT_DRESIDUAL) {
        return;
    }
    if KEEPS_ENDS {
        dresidual[i] = kept(i, pack(value), dresidual[i]);
    } else {
        dresidual[i] = pack(value);
    }
}

// Whether there is anything to write for each element.
fn writes_words() -> bool {
    return has(WANT_DX) || has(WANT_DRESIDUAL);
}
