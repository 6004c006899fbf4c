// The residual in a buffer of which another range is written: WebGPU wants both bound read_write.
@group(0) @binding(10) var<storage, read_write> residual: array<Stored>;

const HAS_RESIDUAL: bool = true;

fn load_residual(i: u32) -> Word {
    return unpack_at(i, residual[stored_at(i)]);
}
