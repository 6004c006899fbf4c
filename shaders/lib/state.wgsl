// The state that one dispatch hands to the next, of which the host half is src/plan/mod.rs: vectors of
// four f32, and behind them single words of bits.
//   vector 0                         x: num_batches_tracked after this step
//   vector 1 + c                     saved statistic c: K, d, rstd, biased variance
//   vector 1 + saved + p             partial p; each strategy says which partial is whose
//   words of gates                   see gates_kept.wgsl
// Forward partials are moments (n, K, s, q), see moments.wgsl; backward partials are
// (sum dy, sum dy * xhat, -, -).
@group(0) @binding(4) var<storage, read_write> state: array<u32>;

fn state_at(i: u32) -> vec4<f32> {
    let word = 4u * i;
    let bits = vec4<u32>(state[word], state[word + 1u], state[word + 2u], state[word + 3u]);
    return bitcast<vec4<f32>>(bits);
}

fn set_state(i: u32, value: vec4<f32>) {
    let word = 4u * i;
    let bits = bitcast<vec4<u32>>(value);
    state[word] = bits.x;
    state[word + 1u] = bits.y;
    state[word + 2u] = bits.z;
    state[word + 3u] = bits.w;
}

// Partial sums of a backward, whose other half nobody reads.
fn set_sums(i: u32, sums: vec2<f32>) {
    let bits = bitcast<vec2<u32>>(sums);
    state[4u * i] = bits.x;
    state[4u * i + 1u] = bits.y;
}

// K + d - a for a mean K + d, by an fma as in centred.wgsl.
fn mean_less(k: f32, d: f32, a: f32) -> f32 {
    return -fma(d, -1.0, a - k);
}

fn saved_index(c: u32) -> u32 {
    return 1u + c;
}

fn partial_index(p: u32) -> u32 {
    return 1u + params.saved + p;
}
