// dy in a buffer of which another range is written: WebGPU wants both bound read_write.
@group(0) @binding(2) var<storage, read_write> dy: array<Stored>;

fn load_dy(i: u32) -> Word {
    return unpack_at(i, dy[stored_at(i)]);
}
