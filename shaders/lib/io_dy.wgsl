// dy as a tensor of its own, read only: the fast way on every backend.
@group(0) @binding(2) var<storage, read> dy: array<Stored>;

fn load_dy(i: u32) -> Word {
    return unpack_at(i, dy[stored_at(i)]);
}
