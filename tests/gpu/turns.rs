//! Lanes of a software driver's workgroup that take several slots in turns, a piece of each: batch norm and
//! renorm of small planes with many channels, against float64.

use wgnorm::{BatchNormOptions, DType, DeviceClass, PlanOptions, Strategy};

use crate::case::MODES;
use crate::device;
use crate::family::renorm;
use crate::family_case::{Case, Norm};
use crate::masked::TAILS;

/// Two to four slots for each lane, in pieces of several rows or of single ones; whole words, and words that
/// straddle two slots; lanes apart, and for long rows together. `plan/tests/policy.rs` says that it is so.
const SHAPES: [[usize; 4]; 6] = [
    [3, 128, 4, 4],
    [5, 256, 7, 7],
    [4, 128, 14, 14],
    [6, 128, 5, 9],
    [3, 24, 32, 64],
    [5, 16, 21, 49],
];

const BY_ROWS: PlanOptions = PlanOptions {
    strategy: Some(Strategy::SplitRows),
    class: Some(DeviceClass::Cpu),
};

fn batch(shape: [usize; 4]) -> Case {
    Case::new(Norm::Batch(BatchNormOptions::default()), shape).planned(BY_ROWS)
}

#[test]
fn every_mode_and_tail() {
    let Some(device) = &device() else { return };
    for shape in SHAPES {
        for mode in MODES {
            for (activation, residual) in TAILS {
                let case = batch(shape).tailed(activation, residual);
                Case { mode, ..case }.check(device);
            }
        }
    }
}

#[test]
fn every_type_and_place() {
    let Some(device) = &device() else { return };
    for shape in SHAPES {
        for dtype in [DType::F32, DType::F16, DType::Bf16] {
            for (activation, residual) in TAILS {
                let case = batch(shape).tailed(activation, residual);
                let case = Case { dtype, ..case };
                case.check(device);
                case.check_in_place(device);
            }
        }
    }
}

#[test]
fn masks_and_renorm() {
    let Some(device) = &device() else { return };
    for shape in SHAPES {
        for (activation, residual) in TAILS {
            let case = batch(shape).tailed(activation, residual);
            Case {
                mask: Some(0.6),
                ..case
            }
            .check(device);
            let case = Case::new(renorm(1), shape).planned(BY_ROWS);
            case.tailed(activation, residual).check(device);
        }
    }
}

/// More pieces than are summed before they are added to the others, in several slices.
#[test]
fn many_pieces_far_from_zero() {
    let Some(device) = &device() else { return };
    for (shape, decades) in [
        ([34, 176, 20, 20], 0),
        ([34, 16, 32, 64], 0),
        ([40, 16, 21, 49], 5),
        ([300, 64, 5, 5], 0),
        // Each of eight slices has 40 pieces, more than are added up at once.
        ([640, 64, 7, 7], 3),
        ([40, 256, 8, 8], 7),
    ] {
        let case = batch(shape);
        Case {
            offset: 10_f64.powi(decades),
            ..case
        }
        .check(device);
    }
}
