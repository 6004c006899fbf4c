//! The bounds on shapes grown across every boundary, with every strategy and for both classes of
//! device.

use proptest::prelude::*;
use wgnorm::{DeviceClass, PlanOptions};

use crate::bounds::check;
use crate::case::Case;
use crate::{device, plans};

fn check_all(shape: &[usize], axis: usize) {
    let Some(device) = &device() else { return };
    let case = Case::new(shape, axis);
    check(device, &case);
    for plan in plans::forced(device, &case) {
        check(device, &case.clone().planned(plan));
    }
}

/// Around the workgroup sizes of both classes, their words, and what a lane has in flight.
const BOUNDARIES: [usize; 24] = [
    1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 509, 1023, 1024,
    1025,
];

#[test]
fn row_lengths_around_every_boundary() {
    for inner in BOUNDARIES {
        check_all(&[3, 2, inner], 1);
    }
    for inner in [4093, 4096, 4099, 8191, 8192, 8196] {
        check_all(&[1, 2, inner], 1);
    }
}

#[test]
fn row_counts_around_every_boundary() {
    for outer in BOUNDARIES {
        check_all(&[outer, 3, 6], 1);
        check_all(&[outer, 2, 16], 1);
    }
}

#[test]
fn channel_counts_of_columns_around_every_boundary() {
    for count in BOUNDARIES {
        check_all(&[5, count], 1);
        check_all(&[8, count], 1);
    }
}

#[test]
fn row_counts_of_columns_around_every_boundary() {
    for rows in BOUNDARIES {
        for count in [1, 2, 3, 4, 50] {
            if rows > 1 {
                check_all(&[rows, count], 1);
            }
        }
    }
}

#[test]
fn planes_of_real_networks() {
    for count in [1, 2, 3, 50, 64, 130] {
        check_all(&[4, count, 7, 7], 1);
        check_all(&[2, count, 13, 13], 1);
        check_all(&[4, 7, 7, count], 3);
        check_all(&[2, 14, 14, count], 3);
    }
    check_all(&[32, 64, 28, 28], 1);
    check_all(&[8, 28, 28, 64], 3);
}

/// More workgroups than one dimension of a grid may have. For a GPU's wide ones a software driver
/// takes minutes, so only one shape is tried with them.
#[test]
fn many_channels() {
    let Some(device) = &device() else { return };
    let shapes: [&[usize]; 4] = [&[2, 65_536], &[3, 65_536], &[2, 65_537, 3], &[2, 65_536, 4]];
    for shape in shapes {
        let case = Case::new(shape, 1);
        check(device, &case);
        for plan in plans::forced(device, &case) {
            if plan.class == Some(DeviceClass::Cpu) || shape[1] == 65_537 {
                check(device, &case.clone().planned(plan));
            }
        }
    }
}

#[test]
fn few_channels_of_many_values() {
    check_all(&[4, 1, 256, 256], 1);
    check_all(&[2, 3, 300, 300], 1);
    check_all(&[100_003, 3], 1);
    check_all(&[262_144, 1], 1);
    check_all(&[60_000, 8], 1);
    check_all(&[1, 1, 1_000_003], 1);
    check_all(&[1, 2, 1 << 19], 1);
    check_all(&[200_000, 2, 2], 1);
}

#[test]
fn channel_axis_anywhere_in_ranks_two_to_seven() {
    let dims = [3, 4, 5, 2, 3, 2, 2];
    for rank in 2..=7 {
        for axis in 0..rank {
            check_all(&dims[..rank], axis);
        }
    }
}

#[test]
fn two_values_per_channel() {
    check_all(&[2, 5], 1);
    check_all(&[2, 1], 1);
    check_all(&[1, 7, 2], 1);
    check_all(&[1, 2, 64], 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn any_shape(
        dims in proptest::collection::vec(1usize..24, 2..6),
        axis in 0usize..6,
        seed in any::<u64>(),
        gpu in any::<bool>(),
        (gamma, beta) in any::<(bool, bool)>(),
    ) {
        let axis = axis % dims.len();
        let class = if gpu { DeviceClass::Gpu } else { DeviceClass::Cpu };
        let plan = PlanOptions { class: Some(class), strategy: None };
        let case = Case { gamma, beta, seed, ..Case::new(dims, axis).planned(plan) };
        if let Some(device) = &device() && case.n() > 1 {
            check(device, &case);
        }
    }
}
