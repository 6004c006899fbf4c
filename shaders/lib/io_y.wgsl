// The output y.
@group(0) @binding(3) var<storage, read_write> y: array<Stored>;

fn store_y(i: u32, value: Word) {
    y[i] = pack(value);
}
