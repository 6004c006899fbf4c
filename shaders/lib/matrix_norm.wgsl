// The norm of a vector whose sum of squares is known. Uses matrix.wgsl.
// What a vector is divided by to have norm 1. No `max`, which may hide a NaN.
fn divisor_of(squares: f32) -> f32 {
    let norm = sqrt(squares);
    return select(norm, params.eps, norm < params.eps);
}
