// Moves running statistics by the average of the samples' own: mean K + d, and variance times the
// correction that makes it unbiased.
// Host half: src/kernels/fold_statistics.rs. Lib: fold, workgroup, state, flags, running, reduce_*,
// barrier_*.
//   state                      saved statistics of every slot read
//   running_mean, running_var  [count] moved
//   tracked [1]                num_batches_tracked, counted up by a dispatch of its own where all
//                              workgroups weigh by it
// Grid: one workgroup per channel.
@group(0) @binding(9) var<storage, read_write> tracked: array<u32>;

// About the average of the pivots: of one in each eighth of the samples. A mean far above the deviations
// keeps its digits around it, and samples whose means have either sign lose half of what the first one's
// pivot cost them.
fn average_pivot(c: u32) -> f32 {
    var k = 0.0;
    for (var i = 0u; i < 8u; i++) {
        k += 0.125 * state_at(saved_index(i * params.batches / 8u * params.count + c)).x;
    }
    return k;
}

// The sums over samples of d from the pivot k, and of the variance, on three levels: d is the same for many
// samples where their means lie far apart, and so is then what each addition loses.
fn lane_sum(c: u32, lane: u32, k: f32) -> vec2<f32> {
    let few = 16u * WORKGROUP;
    let many = 16u * few;
    var total = vec2<f32>(0.0);
    for (var first = lane; first < params.batches; first += many) {
        let last = min(first + many, params.batches);
        var upper = vec2<f32>(0.0);
        for (var begin = first; begin < last; begin += few) {
            let end = min(begin + few, last);
            var lower = vec2<f32>(0.0);
            for (var i = begin; i < end; i += WORKGROUP) {
                let saved = state_at(saved_index(i * params.count + c));
                lower += vec2<f32>(mean_less(saved.x, saved.y, k), saved.w);
            }
            upper += lower;
        }
        total += upper;
    }
    return total;
}

@compute @workgroup_size(WORKGROUP)
fn fold_statistics(@builtin(workgroup_id) group_id: vec3<u32>, here: Invocation) {
    let c = group_index(group_id);
    if c >= params.groups {
        return;
    }
    if has(UPDATE_RUNNING) {
        let k = average_pivot(c);
        let average = workgroup_sum(lane_sum(c, here.lane, k), here) / f32(params.batches);
        if here.lane == 0u {
            var old_weight = params.old_weight;
            var new_weight = params.new_weight;
            if has(CUMULATIVE) {
                let count = f32(tracked[0] + 1u);
                old_weight = (count - 1.0) / count;
                new_weight = 1.0 / count;
            }
            let variance = average.y * params.correction;
            running_mean[c] = old_weight * running_mean[c] + new_weight * (k + average.x);
            running_var[c] = old_weight * running_var[c] + new_weight * variance;
        }
    }
    if c == 0u && here.lane == 0u && has(HAS_TRACKED) {
        tracked[0] += 1u;
    }
}
