// The application's own kernels in embedding.rs: one fills x and dy with noise, the other moves y
// against dx. Every tensor is a range of one array, from the index on that has its name.
override x: u32;
override dy: u32;
override y: u32;
override dx: u32;
// The number of the frame is what wgnorm has counted in num_batches_tracked.
override frame: u32;
override len: u32;

@group(0) @binding(0) var<storage, read_write> arena: array<u32>;

fn noise(n: u32) -> f32 {
    return f32((n * 1103515245u) >> 16u) / 65536.0;
}

@compute @workgroup_size(64)
fn before(@builtin(global_invocation_id) id: vec3<u32>) {
    let n = 2u * (arena[frame] * len + id.x);
    arena[x + id.x] = bitcast<u32>(noise(n));
    arena[dy + id.x] = bitcast<u32>(noise(n + 1u));
}

@compute @workgroup_size(64)
fn after(@builtin(global_invocation_id) id: vec3<u32>) {
    let step = 0.25 * bitcast<f32>(arena[dx + id.x]);
    arena[y + id.x] = bitcast<u32>(bitcast<f32>(arena[y + id.x]) - step);
}
