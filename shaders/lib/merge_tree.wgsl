// Adds up pairs of sums of the same column that lie in the workgroup's scratch, copy by copy.
var<workgroup> merge_scratch: array<vec2<f32>, TILE>;

// Adds `ways` copies of `columns` pairs into the first copy, in a tree of fixed order. All
// invocations must call it; the scratch may be read when it returns.
fn merge_tree(ways: u32, columns: u32, lane: u32) {
    workgroupBarrier();
    var live = ways;
    while live > 1u {
        let half = (live + 1u) >> 1u;
        for (var i = lane; i < (live - half) * columns; i += WORKGROUP) {
            merge_scratch[i] += merge_scratch[i + half * columns];
        }
        workgroupBarrier();
        live = half;
    }
}

// Adds up the copies of the channels that a tile of per-lane sums holds.
fn merge_copies(lane: u32) {
    merge_tree(select(1u, params.copies, params.blocks == 1u), params.count, lane);
}

// How many lanes can share the partials of one column.
fn merge_ways() -> u32 {
    return select(1u, min(params.copies, params.partials), params.blocks == 1u);
}
