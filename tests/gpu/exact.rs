//! Sums that are exact in any order come out without any error: small integers, powers of two for
//! n, and a mean and variance that f32 can hold.

use rand::SeedableRng;
use rand_pcg::Pcg64;

use crate::case::Case;
use crate::integers::integers;
use crate::{device, plans};

#[test]
fn mean_variance_and_dbeta_have_no_error_at_all() {
    let Some(device) = &device() else { return };
    let mut rng = Pcg64::seed_from_u64(11);
    let shapes: [(&[usize], usize); 10] = [
        (&[8, 3, 8, 8], 1),
        (&[4, 2, 64, 64], 1),
        (&[2, 1, 128, 128], 1),
        (&[16, 5, 2], 1),
        (&[4, 15, 4, 4], 1),
        (&[4, 16, 8, 8], 1),
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
