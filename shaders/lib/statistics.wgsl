// What the finished moment (n, K, d, M2) of a slot becomes: saved statistics and the running update.
// Uses flags.wgsl, state.wgsl, moments.wgsl and the bindings running_mean and running_var.

// The statistics to normalize with, as (K, d, rstd, biased variance).
fn statistics_of(m: vec4<f32>) -> vec4<f32> {
    let variance = m.w / m.x;
    return vec4<f32>(m.y, m.z, rsqrt(variance + params.eps), variance);
}

fn running_statistics(c: u32) -> vec4<f32> {
    let variance = running_var[c];
    return vec4<f32>(running_mean[c], 0.0, rsqrt(variance + params.eps), variance);
}

// Leaves the running statistics as they are before the step, which moves them while others need them.
fn keep_running(c: u32) {
    if has(USE_RUNNING) {
        set_state(saved_index(c), running_statistics(c));
    }
    if has(CORRECTED) {
        set_state(old_index(c), vec4<f32>(running_mean[c], running_var[c], 0.0, 0.0));
    }
}

fn update_running(c: u32, m: vec4<f32>) {
    var old_weight = params.old_weight;
    var new_weight = params.new_weight;
    if has(CUMULATIVE) {
        let tracked = state_at(0u).x;
        old_weight = (tracked - 1.0) / tracked;
        new_weight = 1.0 / tracked;
    }
    running_mean[c] = old_weight * running_mean[c] + new_weight * (m.y + m.z);
    running_var[c] = old_weight * running_var[c] + new_weight * (m.w / params.running_divisor);
}
