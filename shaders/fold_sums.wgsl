// Last dispatch of a backward whose gains several slots share: dgamma and dbeta are the sums over the
// samples of what their slots have left.
// Host half: src/kernels/fold_sums.rs. Lib: fold, workgroup, state, flags, reduce_*, barrier_*.
//   state                   partial sums read
//   dgamma, dbeta [count]   written where wanted
// Grid: one workgroup per gain.
@group(0) @binding(7) var<storage, read_write> dgamma: array<f32>;
@group(0) @binding(8) var<storage, read_write> dbeta: array<f32>;

// Partial i of all that belong to a gain, sample by sample.
fn gain_partial(gain: u32, i: u32) -> u32 {
    let batch = i / params.partials;
    let partial = i - batch * params.partials;
    let before = batch * params.count * params.partials;
    return partial_index(before + gain * params.slot_step + partial * params.partial_step);
}

// On three levels, which keeps the rounding of long sums small.
fn lane_sum(gain: u32, lane: u32) -> vec2<f32> {
    let n = params.batches * params.partials;
    let few = 16u * WORKGROUP;
    let many = 16u * few;
    var total = vec2<f32>(0.0);
    for (var first = lane; first < n; first += many) {
        let last = min(first + many, n);
        var upper = vec2<f32>(0.0);
        for (var begin = first; begin < last; begin += few) {
            let end = min(begin + few, last);
            var lower = vec2<f32>(0.0);
            for (var i = begin; i < end; i += WORKGROUP) {
                lower += state_at(gain_partial(gain, i)).xy;
            }
            upper += lower;
        }
        total += upper;
    }
    return total;
}

@compute @workgroup_size(WORKGROUP)
fn fold_sums(@builtin(workgroup_id) group_id: vec3<u32>, here: Invocation) {
    let gain = group_index(group_id);
    if gain >= params.groups {
        return;
    }
    let sums = workgroup_sum(lane_sum(gain, here.lane), here);
    if here.lane == 0u {
        if has(WANT_DBETA) {
            dbeta[gain] = sums.x;
        }
        if has(WANT_DGAMMA) {
            dgamma[gain] = sums.y;
        }
    }
}
