// Packs a mask into the state: a bit for each position, 32 to a word.
// Host half: src/kernels/mask_bits.rs. Lib: channels, workgroup, reduce_*, barrier_*.
//   mask [positions]  not 0 where the elements of a position are valid
//   state             words of bits written
// Grid: one lane per word.
@group(0) @binding(3) var<storage, read_write> mask: array<u32>;
@group(0) @binding(4) var<storage, read_write> state: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn mask_bits(@builtin(workgroup_id) group_id: vec3<u32>, here: Invocation) {
    let word = group_index(group_id) * WORKGROUP + here.lane;
    if word >= params.count {
        return;
    }
    var bits = 0u;
    for (var i = 0u; i < 32u; i++) {
        let position = word * 32u + i;
        if position < params.parts && mask[min(position, params.parts - 1u)] != 0u {
            bits |= 1u << i;
        }
    }
    state[params.first + word] = bits;
}
