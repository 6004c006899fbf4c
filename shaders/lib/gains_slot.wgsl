// A gain for each slot: gamma [gains], or 1 where there is none.
@group(0) @binding(5) var<storage, read_write> gamma: array<f32>;

fn gain(slot: u32) -> f32 {
    if has(HAS_GAMMA) {
        return gamma[gain_of(slot)];
    }
    return 1.0;
}
