// Each lane of a workgroup walks along slots of its own, so that there is nothing to add up. Linked instead
// of lanes_together.wgsl and reduce_*.wgsl for software drivers where rows are short: slots side by side are
// read in the order of the memory then, where the pieces of a single slot lie a row of all slots apart. On
// lavapipe, which loads lane by lane anyway, a forward of 7x7 planes went from 1.8 to 1.4 copies by that, and
// with 32 slots for each lane, a row of each in turn, a backward from 4.2 to 2.8.
struct Invocation {
    @builtin(local_invocation_index) lane: u32,
}

// The most slots of a lane.
const TURNS: u32 = 32u;

fn turns() -> u32 {
    return params.turns;
}

fn walkers() -> u32 {
    return 1u;
}

// A lane's place among those that walk with it.
fn place_of(lane: u32) -> u32 {
    return 0u;
}

// The first slot that a lane walks along, of those of a workgroup; its next ones lie WORKGROUP slots on.
fn slot_of_lane(block: u32, lane: u32) -> u32 {
    return block * WORKGROUP * params.turns + lane;
}

// Where a lane that has walked up to `begin` ends so many pieces.
fn pieces_end(begin: u32, pieces: u32, end: u32) -> u32 {
    return min((begin / params.piece_words + pieces) * params.piece_words, end);
}

// The sum over the lanes that walk together.
fn walkers_sum(value: vec2<f32>, here: Invocation) -> vec2<f32> {
    return value;
}
