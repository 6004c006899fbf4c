// The output y.
@group(0) @binding(3) var<storage, read_write> y: array<Stored>;

fn store_y(i: u32, value: Word) {
    if KEEPS_ENDS {
        y[i] = kept(i, pack(value), y[i]);
    } else {
        y[i] = pack(value);
    }
}
