// A lane walks along several slots in turns, a piece of each, so that its workgroup reads on in the order of the
// memory, where the rows of a single slot lie a row of all slots apart. Linked instead of turns_one.wgsl for
// software drivers. On lavapipe a backward of 7x7 planes went from 4.2 to 2.8 copies by that, a forward of 56x56
// from 1.4 to 1.2.
const TURNS: u32 = 32u;

fn turns() -> u32 {
    return params.turns;
}

// Where a lane that has walked up to `begin` ends so many pieces.
fn pieces_end(begin: u32, pieces: u32, end: u32) -> u32 {
    return min((begin / params.piece_words + pieces) * params.piece_words, end);
}
