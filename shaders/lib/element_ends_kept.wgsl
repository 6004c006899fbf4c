// A window of rows whose first and last word may hold an element of the window before or behind it: that
// one stays as it is. Windows are dispatches, one after the other, so no two write the word at once.
// For batch entries of an odd number of 16-bit elements; uses rows.wgsl.
const KEEPS_ENDS: bool = true;

fn kept(i: u32, value: Stored, before: Stored) -> Stored {
    let rows = params.slot_words / params.row_words;
    let end = params.shift + (rows - 1u) * params.row_stride + params.slots * params.inner;
    let first = i * 2u;
    let low = select(0u, 0x0000ffffu, first >= params.shift && first < end);
    let high = select(0u, 0xffff0000u, first + 1u < end);
    return (value & (low | high)) | (before & ~(low | high));
}
