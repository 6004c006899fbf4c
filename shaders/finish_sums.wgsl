// What the merged sums of a backward become: dgamma and dbeta, and the means that dx is taken from.
// Host half: src/kernels/finish_sums.rs. Lib: channels, workgroup, state, flags, reduce_*,
// barrier_*.
//   sums [count]           (sum dy, sum dy * xhat) read
//   state                  how many values each statistic is of read; one partial of each channel written
//   dgamma, dbeta [count]  written where wanted
// Grid: one lane per channel.
@group(0) @binding(3) var<storage, read_write> sums: array<vec2<f32>>;
@group(0) @binding(7) var<storage, read_write> dgamma: array<f32>;
@group(0) @binding(8) var<storage, read_write> dbeta: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn finish_sums(@builtin(workgroup_id) group_id: vec3<u32>, here: Invocation) {
    let channel = group_index(group_id) * WORKGROUP + here.lane;
    if channel >= params.count {
        return;
    }
    let total = sums[channel];
    if has(WANT_DBETA) {
        dbeta[channel] = total.x;
    }
    if has(WANT_DGAMMA) {
        dgamma[channel] = total.y;
    }
    if has(WANT_DX) {
        // dx divides by the n of all pieces, which is that of the statistics.
        let n = state_at(n_index(channel)).x;
        let means = select(vec2<f32>(0.0), total / n, n > 0.0);
        set_state(partial_index(channel), vec4<f32>(means, 0.0, 0.0));
    }
}
