// The lanes of a workgroup walk along one slot together, each with every such word of it. Uses reduce_*.wgsl.
const TURNS: u32 = 1u;

fn turns() -> u32 {
    return 1u;
}

fn walkers() -> u32 {
    return WORKGROUP;
}

// A lane's place among those that walk with it.
fn place_of(lane: u32) -> u32 {
    return lane;
}

// The slot that a lane walks along, of those of a workgroup.
fn slot_of_lane(block: u32, lane: u32) -> u32 {
    return block;
}

// Where lanes that have walked up to `begin` end so many pieces: there is but one.
fn pieces_end(begin: u32, pieces: u32, end: u32) -> u32 {
    return end;
}

// The sum over the lanes that walk together. All invocations of the workgroup must call it.
fn walkers_sum(value: vec2<f32>, here: Invocation) -> vec2<f32> {
    return workgroup_sum(value, here);
}
