// Each lane of a workgroup walks along slots of its own, so that there is nothing to add up. Linked instead
// of lanes_together.wgsl and reduce_*.wgsl for software drivers where rows are short: on lavapipe, which loads
// lane by lane anyway, a forward of 7x7 planes went from 1.8 to 1.4 copies by that.
struct Invocation {
    @builtin(local_invocation_index) lane: u32,
}

fn walkers() -> u32 {
    return 1u;
}

// A lane's place among those that walk with it.
fn place_of(lane: u32) -> u32 {
    return 0u;
}

// The first slot that a lane walks along, of those of a workgroup, and how far its next one is.
fn slot_of_lane(block: u32, lane: u32) -> u32 {
    return block * WORKGROUP * turns() + lane;
}

fn slots_beside() -> u32 {
    return WORKGROUP;
}

// The sum over the lanes that walk together.
fn walkers_sum(value: vec2<f32>, here: Invocation) -> vec2<f32> {
    return value;
}
