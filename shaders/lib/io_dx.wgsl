// The output dx.
@group(0) @binding(3) var<storage, read_write> dx: array<Stored>;

fn store_dx(i: u32, value: Word) {
    if KEEPS_ENDS {
        dx[i] = kept(i, pack(value), dx[i]);
    } else {
        dx[i] = pack(value);
    }
}
