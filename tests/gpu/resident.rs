//! Shapes around the boundaries of the resident strategy: what a workgroup can hold, how many words
//! a lane holds, and how many slots share a workgroup.

use wgnorm::functional::Operation::{Backward, Forward};
use wgnorm::{DeviceClass, PlanOptions, Strategy, functional};

use crate::bounds::check;
use crate::case::Case;
use crate::{device, plans};

/// Checks what the planner chooses for both classes, and the resident strategy where it applies.
fn check_resident(shape: &[usize], axis: usize) {
    let Some(device) = &device() else { return };
    let case = Case::new(shape, axis);
    for plan in plans::all(device, &case) {
        if plan.strategy.is_none_or(|s| s == Strategy::Resident) {
            check(device, &case.clone().planned(plan));
        }
    }
}

/// The walks that the planner chooses for a forward and a backward.
fn walks(shape: &[usize], axis: usize, class: DeviceClass) -> [&'static str; 2] {
    let case = Case::new(shape, axis).planned(PlanOptions {
        strategy: None,
        class: Some(class),
    });
    let device = &device().unwrap();
    [Forward, Backward]
        .map(|operation| {
            functional::cost(device, &case.shape, case.dtype, &case.options, operation)
        })
        .map(|cost| cost.unwrap().strategy)
}

#[test]
fn many_draws_of_columns_that_one_lane_adds_up() {
    let Some(device) = &device() else { return };
    // One after the other 32 values were too many: one draw in some fifty was off by more than its bound.
    for seed in 0..256 {
        let case = Case {
            seed,
            ..Case::new([32, 64], 1)
        };
        check(
            device,
            &case.planned(PlanOptions {
                strategy: Some(Strategy::Resident),
                class: Some(DeviceClass::Cpu),
            }),
        );
    }
}

#[test]
fn slots_that_just_fit_and_just_do_not() {
    if device().is_none() {
        return;
    }
    let (resident, split) = ("resident_rows", "split_rows");
    let gpu = [
        (4096, [resident, resident]),
        (4100, [resident, split]),
        (8192, [resident, split]),
        (8196, [split, split]),
    ];
    for (inner, expected) in gpu {
        let shape = [1, 3, inner];
        assert_eq!(walks(&shape, 1, DeviceClass::Gpu), expected, "{inner}");
        check_resident(&shape, 1);
        check_resident(&[2, 3, inner / 2], 1);
    }
    let cpu = [(1024, [resident; 2]), (1028, [split; 2])];
    for (inner, expected) in cpu {
        let shape = [1, 3, inner];
        assert_eq!(walks(&shape, 1, DeviceClass::Cpu), expected, "{inner}");
        check_resident(&shape, 1);
    }
    for inner in [4095, 4097, 8191, 8193, 255, 257] {
        check_resident(&[1, 3, inner], 1);
    }
}

#[test]
fn columns_that_just_fit_and_just_do_not() {
    for count in [2, 4, 32, 64, 68] {
        for rows in [63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513] {
            check_resident(&[rows, count], 1);
        }
    }
}

#[test]
fn words_held_around_every_power_of_two() {
    for power in 0..6 {
        for words in [7, 8, 9].map(|near| (8usize << power) + near - 8) {
            // Whole words of four, and single ones.
            check_resident(&[1, 2, 4 * words], 1);
            check_resident(&[1, 2, words], 1);
        }
    }
    for words in [1023, 1025, 2047] {
        check_resident(&[1, 2, 4 * words], 1);
    }
}

#[test]
fn many_tiny_slots_share_a_workgroup() {
    let shapes: [&[usize]; 5] = [
        &[2, 300, 4, 4],
        &[3, 1000, 2, 2],
        &[2, 7, 1, 3],
        &[2, 9, 8, 15],
        &[1, 1025, 2, 3],
    ];
    for shape in shapes {
        check_resident(shape, 1);
    }
    // The last workgroup has from one slot to all of them.
    for count in 1..=17 {
        check_resident(&[2, count, 12], 1);
        check_resident(&[2, count, 76], 1);
    }
}

#[test]
fn columns_of_few_rows() {
    for count in [1, 2, 3, 4, 5, 8, 12, 50, 64, 257] {
        for rows in [2, 3, 4, 7, 9, 16, 33, 100] {
            check_resident(&[rows, count], 1);
        }
    }
}
