// The state that one dispatch hands to the next: one array of vec4<f32>, of which the host half
// is src/plan/mod.rs.
//   state[0]                          x: num_batches_tracked after this step
//   state[1 + c]                      saved statistic c: K, d, rstd, biased variance
//   state[1 + saved + p]              partial p; each strategy says which partial is whose
// Forward partials are moments (n, K, s, q), see moments.wgsl; backward partials are
// (sum dy, sum dy * xhat, -, -).
@group(0) @binding(4) var<storage, read_write> state: array<vec4<f32>>;

fn saved_index(c: u32) -> u32 {
    return 1u + c;
}

fn partial_index(p: u32) -> u32 {
    return 1u + params.saved + p;
}
