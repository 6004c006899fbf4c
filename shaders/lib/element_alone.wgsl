// Every word is stored by itself. Linked with all words but element_half_single.wgsl's.
fn stored_at(i: u32) -> u32 {
    return i;
}

fn unpack_at(i: u32, v: Stored) -> Word {
    return unpack(v);
}
