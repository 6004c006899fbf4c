// x in a buffer of which another range is written: WebGPU wants both bound read_write.
@group(0) @binding(1) var<storage, read_write> x: array<Stored>;

fn load_x(i: u32) -> Word {
    return unpack_at(i, x[stored_at(i)]);
}
