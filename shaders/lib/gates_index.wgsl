// Where a lane of the workgroup of a slice keeps its first bits, or finds them; its next ones lie WORKGROUP
// words on. The forward that keeps them and the backward that asks are cut alike.
fn gate_index(group: u32, lane: u32) -> u32 {
    return params.gates + group * params.group_gates + lane;
}

// Where a lane that is at `at` and goes on by `step` needs other bits, or `end`. A loop up to there, and no
// branch in a longer one: software drivers go through both sides of a branch each time.
fn gates_end(at: u32, step: u32, end: u32) -> u32 {
    return select(end, min(at + 32u / WIDTH * step, end), has(GATED));
}
