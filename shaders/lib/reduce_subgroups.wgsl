// Sums over the invocations of a workgroup by its subgroups, whatever their width: two barriers where
// reduce_shared.wgsl, whose twin this is, has six. No `enable subgroups;`, which naga does not know; so it
// is not for browsers, which want it.

// What an invocation knows of its place in the workgroup. Its workgroup's place is not here: a browser
// would take it for as varied as these are, and allow no barrier after a branch on it.
struct Invocation {
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) within: u32,
}

var<workgroup> reduce_scratch: array<vec2<f32>, WORKGROUP>;

// The sum over the whole workgroup. All invocations must call it, and all get it.
fn workgroup_sum(value: vec2<f32>, here: Invocation) -> vec2<f32> {
    let sum = subgroupAdd(value);
    // Counted, since some drivers name the width that a subgroup might have had.
    let width = subgroupAdd(1u);
    let subgroups = (WORKGROUP + width - 1u) / width;
    if here.within == 0u {
        reduce_scratch[here.subgroup] = sum;
    }
    sync();
    // Every subgroup adds up all of their sums: one long sum of 32 would lose accuracy.
    var total = vec2<f32>(0.0);
    for (var i = here.within; i < subgroups; i += width) {
        total += reduce_scratch[i];
    }
    total = subgroupAdd(total);
    // The next call writes where this one still reads.
    sync();
    return total;
}

// The sum over each run of `lanes` invocations, a power of two. A run may be shorter than a subgroup,
// so short runs add up in a tree.
fn lanes_sum(value: vec2<f32>, here: Invocation, lanes: u32) -> vec2<f32> {
    if lanes == WORKGROUP {
        return workgroup_sum(value, here);
    }
    reduce_scratch[here.lane] = value;
    sync();
    let run = here.lane & (lanes - 1u);
    for (var half = lanes >> 1u; half > 0u; half = half >> 1u) {
        if run < half {
            reduce_scratch[here.lane] += reduce_scratch[here.lane + half];
        }
        sync();
    }
    let sum = reduce_scratch[here.lane - run];
    // The next call writes where this one still reads.
    sync();
    return sum;
}
