//! The vector that a power iteration starts from.

/// A vector of norm 1 in a random direction, the same on every machine: any that is not orthogonal to the
/// singular vector will do, and one that anybody could have built on purpose is the likelier to be.
pub(super) fn random_unit(len: usize) -> Vec<f32> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    // Twelve uniform values add up to a nearly normal one, without a logarithm that may differ.
    let mut normal = || (0..12).map(|_| uniform(&mut state)).sum::<f64>();
    let values: Vec<f64> = (0..len).map(|_| normal()).collect();
    let norm = values.iter().map(|value| value * value).sum::<f64>().sqrt();
    values.iter().map(|value| (value / norm) as f32).collect()
}

/// From -0.5 to 0.5, by Vigna's splitmix64.
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *state;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    (bits >> 11) as f64 / (1u64 << 53) as f64 - 0.5
}

#[cfg(test)]
mod tests {
    use super::random_unit;

    #[test]
    fn has_norm_1_and_no_direction() {
        for len in [1, 2, 7, 4096] {
            let u: Vec<f64> = random_unit(len).into_iter().map(f64::from).collect();
            let norm: f64 = u.iter().map(|value| value * value).sum();
            assert!((norm - 1.0).abs() < 1e-6, "{len}: {norm}");
        }
        let u = random_unit(4096);
        let mean = u.iter().map(|&value| f64::from(value)).sum::<f64>() / 64.0;
        assert!(mean.abs() < 4.0, "{mean} standard deviations");
        assert_ne!(u, random_unit(4097)[..4096]);
    }
}
