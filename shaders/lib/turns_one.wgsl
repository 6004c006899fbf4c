// A lane walks along one slot, from the beginning of its slice to the end. Uses rows.wgsl.
const TURNS: u32 = 1u;

fn turns() -> u32 {
    return 1u;
}

// Where a lane that has walked up to `begin` ends so many pieces: there is but one.
fn pieces_end(begin: u32, pieces: u32, end: u32) -> u32 {
    return end;
}
