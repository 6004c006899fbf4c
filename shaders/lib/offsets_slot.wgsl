// An offset for each slot: beta [gains], or 0 where there is none.
@group(0) @binding(6) var<storage, read_write> beta: array<f32>;

fn offset(slot: u32) -> f32 {
    if has(HAS_BETA) {
        return beta[gain_of(slot)];
    }
    return 0.0;
}
