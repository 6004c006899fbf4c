// What a lane of a resident kernel holds of x: HELD words, which are gone through in chunks of 8, one thing at a
// time: compilers unroll short loops of short bodies only, and an array that is indexed by what they do not
// know lies in memory.
const CHUNK: u32 = min(HELD, 8u);

var<private> x_held: array<Word, HELD>;
