// The residual as a tensor of its own, read only: the fast way on every backend.
@group(0) @binding(10) var<storage, read> residual: array<Stored>;

const HAS_RESIDUAL: bool = true;

fn load_residual(i: u32) -> Word {
    return unpack_at(i, residual[stored_at(i)]);
}
