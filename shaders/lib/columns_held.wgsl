// The words of a tile that a lane of a resident kernel holds: word i is that of its i-th row. Beyond the last row
// it holds that one's again, which counts in no sum and is not written. Uses columns.wgsl, held.wgsl and flags.wgsl.
fn held_word(walk: Walk, i: u32) -> u32 {
    if has(FULL) {
        return walk.shift + (walk.row_begin + i * walk.row_step) * walk.row_words + walk.word;
    }
    return word_of(walk, walk.row_begin, i);
}

fn is_held(walk: Walk, i: u32) -> bool {
    return has(FULL) || walk.row_begin + i * walk.row_step < walk.row_end;
}
