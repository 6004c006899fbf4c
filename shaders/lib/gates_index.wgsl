// Where a lane of the workgroup of a slice keeps its first bits, or finds them; its next ones lie WORKGROUP
// words on. The forward that keeps them and the backward that asks are cut alike.
fn gate_index(group: u32, lane: u32) -> u32 {
    return params.gates + group * params.lane_gates * WORKGROUP + lane;
}
