// The output dx.
@group(0) @binding(3) var<storage, read_write> dx: array<Stored>;

fn store_dx(i: u32, value: Word) {
    dx[i] = pack(value);
}
