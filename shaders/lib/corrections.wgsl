// Corrects the xhat of these statistics to xhat * r + d, towards what the running statistics before the
// step would have made of x; no gradient flows through r and d. Ioffe 2017, algorithm 1.
// The forward leaves those statistics behind the saved ones, since they move before the backward.
// Uses flags.wgsl and state.wgsl.
fn old_index(c: u32) -> u32 {
    return 1u + params.count + c;
}

// (r, d) for the saved statistics of the batch and the old running (mean, variance).
fn corrections(saved: vec4<f32>, old: vec2<f32>) -> vec2<f32> {
    if !has(CORRECTED) {
        return vec2<f32>(1.0, 0.0);
    }
    let variance = old.y + params.eps;
    let r = sqrt((saved.w + params.eps) / variance);
    let d = mean_less(saved.x, saved.y, old.x) * inverseSqrt(variance);
    return vec2<f32>(
        clamp(r, 1.0 / params.r_max, params.r_max),
        clamp(d, -params.d_max, params.d_max),
    );
}

fn saved_corrections(c: u32, saved: vec4<f32>) -> vec2<f32> {
    if !has(CORRECTED) {
        return vec2<f32>(1.0, 0.0);
    }
    return corrections(saved, state_at(old_index(c)).xy);
}
