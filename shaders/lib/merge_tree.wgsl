// Adds up pairs of sums of the same column that lie in the workgroup's scratch, copy by copy.
var<workgroup> merge_scratch: array<vec2<f32>, TILE>;

// One of `ways` copies of `columns` entries of the scratch. Lanes go through them by steps, since a software
// driver takes some 200 cycles for a division of integers.
struct Entry {
    i: u32,
    way: u32,
    column: u32,
}

struct EntryStep {
    columns: u32,
    ways: u32,
    rest: u32,
}

fn first_entry(lane: u32, columns: u32) -> Entry {
    let way = lane / columns;
    return Entry(lane, way, lane - way * columns);
}

fn entry_step(columns: u32) -> EntryStep {
    let ways = WORKGROUP / columns;
    return EntryStep(columns, ways, WORKGROUP - ways * columns);
}

// The entry WORKGROUP further on.
fn next_entry(e: Entry, step: EntryStep) -> Entry {
    let column = e.column + step.rest;
    let carry = column >= step.columns;
    return Entry(
        e.i + WORKGROUP,
        e.way + step.ways + select(0u, 1u, carry),
        select(column, column - step.columns, carry),
    );
}

// Adds `ways` copies of `columns` pairs into the first copy, in a tree of fixed order. All
// invocations must call it; the scratch may be read when it returns.
fn merge_tree(ways: u32, columns: u32, lane: u32) {
    sync();
    var live = ways;
    while live > 1u {
        let half = (live + 1u) >> 1u;
        for (var i = lane; i < (live - half) * columns; i += WORKGROUP) {
            merge_scratch[i] += merge_scratch[i + half * columns];
        }
        sync();
        live = half;
    }
}

// Adds up what the lanes of each column left in the scratch, word by word in lane order.
fn merge_lanes(lane: u32) {
    merge_tree(merged_lanes(), merged_columns(), lane);
}

// Leaves a lane's pairs of sums of its word j in the scratch.
fn leave_word(walk: Walk, j: u32, a: Word, b: Word) {
    if is_in_tile(walk, j) {
        let left = word_split(a);
        let right = word_split(b);
        for (var c = 0u; c < WIDTH; c++) {
            merge_scratch[tile_element(walk, j, c)] = vec2<f32>(left[c], right[c]);
        }
    }
}

// How many lanes share the partials of one column when those are merged.
fn merge_ways() -> u32 {
    return min(merged_lanes(), statistic_partials());
}
