//! Inputs whose sums are exact in any order: small integers.

use rand::RngExt;
use rand_pcg::Pcg64;
use wgnorm::reference;

use crate::case::{Case, Inputs};

/// Every channel gets as many `mean + a` as `mean - a`, shuffled, so its mean is `mean` and its
/// variance the mean of the squares.
pub(crate) fn integers(case: &Case, rng: &mut Pcg64) -> Inputs {
    let mut inputs = case.inputs();
    let axis = case.options.channel_axis;
    let mut of_channel = vec![Vec::new(); case.channels()];
    for (i, c) in reference::channels(&case.shape, axis).enumerate() {
        of_channel[c].push(i);
    }
    for elements in &mut of_channel {
        let mean = f32::from(rng.random_range(-64i8..64));
        for i in (1..elements.len()).rev() {
            elements.swap(i, rng.random_range(0..=i));
        }
        for pair in elements.chunks_exact(2) {
            let off = f32::from(rng.random_range(0i8..8));
            inputs.x[pair[0]] = mean + off;
            inputs.x[pair[1]] = mean - off;
        }
    }
    for dy in &mut inputs.dy {
        *dy = f32::from(rng.random_range(-8i8..8));
    }
    inputs
}
