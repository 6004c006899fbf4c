// Sums over the invocations of a workgroup that is one subgroup. Linked instead of reduce_shared.wgsl for
// software drivers, see barrier_subgroup.wgsl. No run of lanes is shorter than the workgroup there.
// What an invocation knows of its place in the workgroup. Its workgroup's place is not here: a browser
// would take it for as varied as these are, and allow no barrier after a branch on it.
struct Invocation {
    @builtin(local_invocation_index) lane: u32,
}

fn lanes_sum(value: vec2<f32>, here: Invocation, lanes: u32) -> vec2<f32> {
    return subgroupAdd(value);
}

fn workgroup_sum(value: vec2<f32>, here: Invocation) -> vec2<f32> {
    return subgroupAdd(value);
}
