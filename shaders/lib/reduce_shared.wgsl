// The sum of one value per invocation over the workgroup, through shared memory, for every width
// of subgroup and for adapters without any. All invocations must call it and all get the sum.
var<workgroup> reduce_scratch: array<vec2<f32>, WORKGROUP>;

fn workgroup_sum(value: vec2<f32>, lane: u32) -> vec2<f32> {
    reduce_scratch[lane] = value;
    workgroupBarrier();
    // Four to one per barrier halves the barriers of the usual two to one.
    var live = WORKGROUP;
    while live > 1u {
        let quarter = (live + 3u) >> 2u;
        if lane < quarter {
            var sum = reduce_scratch[lane];
            for (var j = 1u; j < 4u; j++) {
                let other = lane + j * quarter;
                if other < live {
                    sum += reduce_scratch[other];
                }
            }
            reduce_scratch[lane] = sum;
        }
        workgroupBarrier();
        live = quarter;
    }
    let sum = reduce_scratch[0];
    // The next call writes where this one still reads.
    workgroupBarrier();
    return sum;
}
