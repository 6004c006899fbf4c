// Sums over the invocations of a workgroup that is one subgroup. Linked instead of reduce_shared.wgsl for
// software drivers, see barrier_subgroup.wgsl. No run of lanes is shorter than the workgroup there.
fn lanes_sum(value: vec2<f32>, lane: u32, lanes: u32) -> vec2<f32> {
    return subgroupAdd(value);
}

fn workgroup_sum(value: vec2<f32>, lane: u32) -> vec2<f32> {
    return subgroupAdd(value);
}
