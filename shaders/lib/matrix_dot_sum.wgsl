// What the partial sums of x * dy add up to. Uses matrix.wgsl and reduce_*.wgsl.
@group(0) @binding(6) var<storage, read_write> partials: array<f32>;

// All invocations of the workgroup must call it.
fn dot_of(here: Invocation) -> f32 {
    var share = 0.0;
    for (var i = here.lane; i < params.partials; i += WORKGROUP) {
        share += partials[i];
    }
    return workgroup_sum(vec2<f32>(share, 0.0), here).x;
}
