// x as a tensor of its own, read only: the fast way on every backend.
@group(0) @binding(1) var<storage, read> x: array<Stored>;

fn load_x(i: u32) -> Word {
    return unpack_at(i, x[stored_at(i)]);
}
