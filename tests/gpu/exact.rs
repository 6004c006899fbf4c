//! Sums that are exact in any order come out without any error: small integers, powers of two for
//! n, and a mean and variance that f32 can hold.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use wgnorm::reference;

use crate::case::{Case, Inputs};
use crate::{device, plans};

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

#[test]
fn mean_variance_and_dbeta_have_no_error_at_all() {
    let Some(device) = device() else { return };
    let mut rng = Pcg64::seed_from_u64(11);
    let shapes: [(&[usize], usize); 8] = [
        (&[8, 3, 8, 8], 1),
        (&[4, 2, 64, 64], 1),
        (&[2, 1, 128, 128], 1),
        (&[16, 5, 2], 1),
        (&[512, 4], 1),
        (&[4096, 3], 1),
        (&[64, 50], 1),
        (&[2, 16, 16, 130], 3),
    ];
    for (shape, axis) in shapes {
        let case = Case::new(shape, axis);
        for plan in plans::forced(device, &case) {
            let case = case.clone().planned(plan);
            let inputs = integers(&case, &mut rng);
            let (got, want) = (case.run(device, &inputs), case.expected(&inputs));
            let exact = |name: &str, got: &[f32], want: &[f64]| {
                for (c, (got, want)) in got.iter().zip(want).enumerate() {
                    assert!(
                        f64::from(*got) == *want,
                        "{case:?}: {name}[{c}] {got} is not {want}"
                    );
                }
            };
            exact("mean", &got.mean, &want.mean);
            exact("variance", &got.var, &want.var);
            exact("dbeta", &got.dbeta, &want.gradients.dbeta);
        }
    }
}
