//! Kernels that are linked where a device has optional features, and their twins for devices without
//! them: both within the bounds, and with the same bits wherever the order of sums does not matter.

use rand::SeedableRng;
use rand_pcg::Pcg64;
use wgnorm::{Device, Mode};

use crate::bounds::check;
use crate::case::Case;
use crate::integers::integers;
use crate::others::WITHOUT_FEATURES;
use crate::{device, plans};

/// Powers of two for n, so that integers have exact means and variances.
const SHAPES: [(&[usize], usize); 10] = [
    (&[8, 3, 8, 8], 1),
    (&[4, 2, 64, 64], 1),
    (&[2, 1, 128, 128], 1),
    (&[32, 3, 2, 4, 2], 1),
    (&[128, 64], 1),
    (&[4096, 3], 1),
    (&[64, 50], 1),
    (&[2, 16, 16, 130], 3),
    (&[16, 300, 2, 2], 1),
    (&[4, 5, 1024], 1),
];

/// The tests' own device, the one without features, and every case planned for both.
fn twins() -> Option<(Device, Device, Vec<Case>)> {
    let (with, without) = (device()?, WITHOUT_FEATURES.get()?);
    assert!(!without.limits().int64 && without.limits().subgroups.is_none());
    println!("twins of {:?}", with.limits());
    let planned = |(shape, axis): (&[usize], usize)| {
        let case = Case::new(shape, axis);
        let plans = plans::forced(&with, &case);
        plans
            .into_iter()
            .map(move |plan| case.clone().planned(plan))
    };
    let cases = SHAPES.into_iter().flat_map(planned).collect();
    Some((with, without, cases))
}

#[test]
fn both_are_within_the_bounds() {
    let Some((_, without, cases)) = &twins() else {
        return;
    };
    for case in cases {
        check(without, case);
    }
    for shape in [[4, 3, 49], [3, 3, 49], [5, 1, 16], [2, 50, 2]] {
        for plan in plans::chosen() {
            check(without, &Case::new(shape, 1).planned(plan));
        }
    }
}

#[test]
fn inference_has_the_same_bits() {
    let Some((with, without, cases)) = &twins() else {
        return;
    };
    for case in cases {
        let case = Case {
            mode: Mode::EVAL,
            ..case.clone()
        };
        let inputs = case.inputs();
        let (a, b) = (case.run(with, &inputs), case.run(without, &inputs));
        assert_eq!(a.y, b.y, "{case:?}: y");
        assert_eq!(a.dx, b.dx, "{case:?}: dx");
    }
}

#[test]
fn sums_without_rounding_have_the_same_bits() {
    let Some((with, without, cases)) = &twins() else {
        return;
    };
    let mut rng = Pcg64::seed_from_u64(5);
    for case in cases {
        let inputs = integers(case, &mut rng);
        let (a, b) = (case.run(with, &inputs), case.run(without, &inputs));
        assert!(a == b, "{case:?}: the twins differ");
    }
}
