// The lanes of a workgroup walk along one slot together, each with every such word of it. Uses reduce_*.wgsl
// and turns_*.wgsl.
fn walkers() -> u32 {
    return WORKGROUP;
}

// A lane's place among those that walk with it.
fn place_of(lane: u32) -> u32 {
    return lane;
}

// The first slot that a lane walks along, of those of a workgroup, and how far its next one is.
fn slot_of_lane(block: u32, lane: u32) -> u32 {
    return block * turns();
}

fn slots_beside() -> u32 {
    return 1u;
}

// The sum over the lanes that walk together. All invocations of the workgroup must call it.
fn walkers_sum(value: vec2<f32>, here: Invocation) -> vec2<f32> {
    return workgroup_sum(value, here);
}
