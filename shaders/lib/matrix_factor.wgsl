// What the factor of a product is multiplied by to have norm 1: its squares were summed when it was
// made, and dividing the product instead saves a pass over it. Uses matrix.wgsl, matrix_norm.wgsl and
// reduce_*.wgsl.
@group(0) @binding(6) var<storage, read_write> sums: array<f32>;

// A factor without partial sums is taken as it is. All invocations of the workgroup must call it.
fn factor_scale(here: Invocation) -> f32 {
    var share = 0.0;
    for (var i = here.lane; i < params.partials; i += WORKGROUP) {
        share += sums[i];
    }
    let squares = workgroup_sum(vec2<f32>(share, 0.0), here).x;
    return select(1.0 / divisor_of(squares), 1.0, params.partials == 0u);
}
