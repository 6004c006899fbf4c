//! Planes whose size is no multiple of four: words of four elements straddle two channels, and the
//! last channel's last word reaches into the next row's first.

use wgnorm::{Strategy, reference};

use crate::bounds::check;
use crate::case::Case;
use crate::case::MODES;
use crate::places::{self, Run};
use crate::{device, plans};

const PLANES: [usize; 8] = [5, 6, 7, 9, 49, 50, 51, 169];

/// Both classes of device, always with split rows.
fn by_rows(shape: [usize; 3]) -> Vec<Case> {
    let Some(device) = &device() else {
        return Vec::new();
    };
    let case = Case::new(shape, 1);
    plans::forced(device, &case)
        .into_iter()
        .filter(|plan| plan.strategy == Some(Strategy::SplitRows))
        .map(|plan| case.clone().planned(plan))
        .collect()
}

/// With four rows words of four fill the tensor; with three they may not.
fn cases() -> impl Iterator<Item = Case> {
    let shapes = PLANES.into_iter().flat_map(|inner| {
        [(4, 2), (3, 2), (8, 3), (1, 4), (3, 5)].map(|(outer, count)| [outer, count, inner])
    });
    shapes.flat_map(by_rows)
}

#[test]
fn every_mode() {
    let Some(device) = &device() else { return };
    for case in cases() {
        for mode in MODES {
            let case = case.clone();
            check(device, &Case { mode, ..case });
        }
    }
}

#[test]
fn in_place() {
    let Some(device) = &device() else { return };
    for case in cases() {
        for mode in [MODES[0], MODES[1]] {
            let case = case.clone();
            let run = Run::new(device, Case { mode, ..case });
            places::in_place(&run);
        }
    }
}

#[test]
fn any_choice_of_gradients() {
    let Some(device) = &device() else { return };
    for inner in PLANES {
        for case in by_rows([4, 2, inner]) {
            let run = Run::new(device, case);
            places::choices_of_gradients(&run);
            places::one_buffer(&run);
        }
    }
}

#[test]
fn long_rows_of_many_slices() {
    let Some(device) = &device() else { return };
    for shape in [
        [4, 3, 16_385],
        [1, 4, 70_001],
        [2, 2, 40_002],
        [1, 1, 131_077],
    ] {
        for case in by_rows(shape) {
            check(device, &case);
        }
    }
}

/// Each channel is constant and far from the next, so one value of a wrong channel is a large error
/// wherever it is mixed in.
#[test]
fn neighbours_do_not_mix() {
    let Some(device) = &device() else { return };
    for case in cases() {
        let mut inputs = case.inputs();
        let channels: Vec<usize> = reference::channels(&case.shape, 1).collect();
        for (x, &c) in inputs.x.iter_mut().zip(&channels) {
            *x = 1e4 * (c as f32 + 1.0);
        }
        let outputs = case.run(device, &inputs);
        assert!(outputs.var.iter().all(|&var| var == 0.0), "{case:?}");
        for (y, &c) in outputs.y.iter().zip(&channels) {
            assert_eq!(y.to_bits(), inputs.beta[c].to_bits(), "{case:?}");
        }
    }
}
