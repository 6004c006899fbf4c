//! Sums that are exact in any order come out without any error: small integers, powers of two for
//! n, and a mean and variance that f32 can hold.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use wgnorm::{DeviceClass, PlanOptions, Strategy};

use crate::bounds::compare_exact;
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
            compare_exact(&case, &case.run(device, &inputs), &case.expected(&inputs));
        }
    }
}

/// A pivot with more places than the values would be in all squares, of which there are then too many places.
#[test]
fn the_pivot_of_many_words_in_registers_has_few_places() {
    let Some(device) = &device() else { return };
    let mut rng = Pcg64::seed_from_u64(12);
    let case = Case::new([1, 64, 1024], 1).planned(PlanOptions {
        strategy: Some(Strategy::Resident),
        class: Some(DeviceClass::Cpu),
    });
    let mut inputs = integers(&case, &mut rng);
    for slot in inputs.x.chunks_exact_mut(1024) {
        // Around 7, as each value's counterpart at the other end says, but not among the first ones.
        for i in 0..512 {
            let away = rng.random_range(-60i8..=60);
            slot[i] = f32::from(7 + away);
            slot[1023 - i] = f32::from(7 - away);
        }
    }
    compare_exact(&case, &case.run(device, &inputs), &case.expected(&inputs));
}
