// What a merged moment of each channel becomes: statistics to normalize by, and running ones.
// Host half: src/kernels/finish_moments.rs. Lib: channels, workgroup, state, flags, running, moments,
// reduce_*, barrier_*.
//   moments [count]            (n, K, s, q) read
//   state                      saved statistics written, and how many values each is of behind them
//   running_mean, running_var  [count] moved
//   tracked [1]                num_batches_tracked, counted up by a dispatch of its own where all
//                              lanes weigh by it
// Grid: one lane per channel.
// Only the device knows how many values there are: a channel of none has mean and variance 0, and one
// of fewer than two leaves its running statistics alone.
@group(0) @binding(3) var<storage, read_write> moments: array<vec4<f32>>;
@group(0) @binding(9) var<storage, read_write> tracked: array<u32>;

// A weight of 0 forgets the old value even if that is NaN.
fn followed(old: f32, batch_value: f32, old_weight: f32, new_weight: f32) -> f32 {
    if old_weight == 0.0 {
        return new_weight * batch_value;
    }
    return old_weight * old + new_weight * batch_value;
}

fn move_running(channel: u32, moment: vec4<f32>) {
    var old_weight = params.old_weight;
    var new_weight = params.new_weight;
    if has(CUMULATIVE) {
        let count = f32(tracked[0] + 1u);
        old_weight = (count - 1.0) / count;
        new_weight = 1.0 / count;
    }
    let mean = moment.y + moment.z;
    let variance = moment.w / (moment.x - params.uncounted);
    running_mean[channel] = followed(running_mean[channel], mean, old_weight, new_weight);
    running_var[channel] = followed(running_var[channel], variance, old_weight, new_weight);
}

@compute @workgroup_size(WORKGROUP)
fn finish_moments(@builtin(workgroup_id) group_id: vec3<u32>, here: Invocation) {
    let channel = group_index(group_id) * WORKGROUP + here.lane;
    if channel >= params.count {
        return;
    }
    let part = moments[channel];
    var moment = vec4<f32>(part.x, 0.0, 0.0, 0.0);
    var variance = 0.0;
    if part.x > 0.0 {
        moment = finished(part);
        variance = moment.w / moment.x;
    }
    if has(SAVE) {
        let rstd = rsqrt(variance + params.eps);
        set_state(saved_index(channel), vec4<f32>(moment.y, moment.z, rstd, variance));
        set_state(n_index(channel), vec4<f32>(part.x, 0.0, 0.0, 0.0));
    }
    if has(UPDATE_RUNNING) && part.x >= 2.0 {
        move_running(channel, moment);
    }
    if has(HAS_TRACKED) && channel == 0u && part.x >= 2.0 {
        tracked[0] += 1u;
    }
}
