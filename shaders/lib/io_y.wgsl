// The output y.
@group(0) @binding(3) var<storage, read_write> y: array<Word>;

fn store_y(i: u32, value: Word) {
    y[i] = value;
}
