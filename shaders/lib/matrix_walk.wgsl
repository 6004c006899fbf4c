// A walk along several rows of a matrix at once, so that a word of the column vector is loaded once for
// all of them. Uses matrix.wgsl.
const ROWS: u32 = 4u;

// Where each of the workgroup's rows begins; beyond the matrix's last it is that one again.
fn row_starts(first_row: u32) -> array<u32, ROWS> {
    var starts: array<u32, ROWS>;
    for (var k = 0u; k < ROWS; k++) {
        starts[k] = min(first_row + k, params.rows - 1u) * params.row_words;
    }
    return starts;
}

// Word `at` of a row: word `word` of the run that begins `block` words behind the row's start.
struct Cursor {
    at: u32,
    word: u32,
    block: u32,
}

fn cursor_at(at: u32) -> Cursor {
    let block = at / params.row_words;
    return Cursor(at, at - block * params.row_words, block * params.block_words);
}

// What a walk needs of the parameters, read once: a software driver would read them again for every
// word.
struct Stride {
    row_words: u32,
    block_words: u32,
    step_words: u32,
    step_blocks: u32,
}

fn stride_of() -> Stride {
    return Stride(params.row_words, params.block_words, params.step_words, params.step_blocks);
}

// As many words on as there are lanes, without a division.
fn advance(c: Cursor, stride: Stride) -> Cursor {
    let word = c.word + stride.step_words;
    let carry = word >= stride.row_words;
    return Cursor(
        c.at + WORKGROUP,
        select(word, word - stride.row_words, carry),
        c.block + stride.step_blocks + select(0u, stride.block_words, carry),
    );
}
