// Sums over the invocations of a workgroup through shared memory, for every width of subgroup and for
// adapters without any.
// What an invocation knows of its place in the workgroup. Its workgroup's place is not here: a browser
// would take it for as varied as these are, and allow no barrier after a branch on it.
struct Invocation {
    @builtin(local_invocation_index) lane: u32,
}

var<workgroup> reduce_scratch: array<vec2<f32>, WORKGROUP>;

// The sum over each run of `lanes` invocations, a power of two. All invocations of the workgroup must
// call it, and all get their run's sum.
fn lanes_sum(value: vec2<f32>, here: Invocation, lanes: u32) -> vec2<f32> {
    let lane = here.lane;
    reduce_scratch[lane] = value;
    sync();
    let run = lane & (lanes - 1u);
    // Four to one per barrier halves the barriers of the usual two to one.
    var live = lanes;
    while live > 1u {
        let quarter = (live + 3u) >> 2u;
        if run < quarter {
            var sum = reduce_scratch[lane];
            for (var j = 1u; j < 4u; j++) {
                let other = run + j * quarter;
                if other < live {
                    sum += reduce_scratch[lane + j * quarter];
                }
            }
            reduce_scratch[lane] = sum;
        }
        sync();
        live = quarter;
    }
    let sum = reduce_scratch[lane - run];
    // The next call writes where this one still reads.
    sync();
    return sum;
}

// The sum over the whole workgroup.
fn workgroup_sum(value: vec2<f32>, here: Invocation) -> vec2<f32> {
    return lanes_sum(value, here, WORKGROUP);
}
