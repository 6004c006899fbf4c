//! Batch norm's relatives against float64: every norm with every strategy that applies, for both
//! classes of device, on shapes around every boundary.

use proptest::prelude::*;
use wgnorm::{
    BatchRenormOptions, DType, Device, DeviceClass, Error, GroupNormOptions, InstanceNormOptions,
    LayerNormOptions, Mode, PlanOptions, RmsNormOptions, Shape, Strategy, WeightNormOptions,
    functional,
};

use crate::device;
use crate::family_case::{Case, Norm};
use crate::others::BINDS_16384;
use crate::plans::CLASSES;
use crate::renewed::Renewed;

const STRATEGIES: [Option<Strategy>; 4] = [
    None,
    Some(Strategy::SplitRows),
    Some(Strategy::SplitColumns),
    Some(Strategy::Resident),
];

pub(crate) fn plans(device: &Device, case: &Case) -> Vec<PlanOptions> {
    let all = CLASSES.into_iter().flat_map(|class| {
        STRATEGIES.map(|strategy| PlanOptions {
            strategy,
            class: Some(class),
        })
    });
    let applies = |plan: &PlanOptions| match case.clone().planned(*plan).try_plan(device) {
        Ok(()) => true,
        Err(Error::Strategy { .. }) => false,
        Err(error) => panic!("{case:?}: {error}"),
    };
    all.filter(applies).collect()
}

fn check_all(case: &Case) {
    let Some(device) = &device() else { return };
    for plan in plans(device, case) {
        case.clone().planned(plan).check(device);
    }
}

pub(crate) fn layer(normalized_dims: usize) -> Norm {
    Norm::Layer(LayerNormOptions {
        normalized_dims,
        ..LayerNormOptions::default()
    })
}

pub(crate) fn rms(normalized_dims: usize) -> Norm {
    Norm::Rms(RmsNormOptions {
        normalized_dims,
        ..RmsNormOptions::default()
    })
}

pub(crate) fn group(groups: usize, channel_axis: usize) -> Norm {
    Norm::Group(GroupNormOptions {
        groups,
        channel_axis,
        ..GroupNormOptions::default()
    })
}

pub(crate) fn instance(channel_axis: usize) -> Norm {
    Norm::Instance(InstanceNormOptions {
        channel_axis,
        ..InstanceNormOptions::default()
    })
}

pub(crate) fn renorm(channel_axis: usize) -> Norm {
    Norm::Renorm(BatchRenormOptions {
        channel_axis,
        ..BatchRenormOptions::default()
    })
}

fn weight(dim: usize) -> Norm {
    Norm::Weight(WeightNormOptions {
        dim,
        ..WeightNormOptions::default()
    })
}

#[test]
fn rows_of_every_length() {
    for len in [
        2, 3, 4, 5, 7, 8, 31, 32, 50, 64, 65, 100, 256, 257, 1000, 1024, 1025,
    ] {
        for rows in [1, 2, 5, 33] {
            check_all(&Case::new(layer(1), [rows, len]));
            check_all(&Case::new(rms(1), [rows, len]));
        }
    }
    for len in [4096, 4100, 8192, 8196, 8193] {
        check_all(&Case::new(layer(1), [3, len]));
        check_all(&Case::new(rms(1), [3, len]));
    }
}

#[test]
fn rows_of_one_value_and_of_several_dimensions() {
    // The variance of one value is 0, and so is y without its beta.
    check_all(&Case::new(rms(1), [5, 1]));
    for dims in 1..=4 {
        check_all(&Case::new(layer(dims), [3, 4, 5, 6]));
        check_all(&Case::new(rms(dims), [3, 4, 5, 6]));
    }
    check_all(&Case::new(layer(1), [1000]));
    check_all(&Case::new(layer(2), [2, 700, 8, 8]));
}

#[test]
fn many_rows() {
    check_all(&Case::new(layer(1), [5000, 64]));
    check_all(&Case::new(rms(1), [3001, 36]));
    check_all(&Case::new(layer(1), [2, 1 << 18]));
    check_all(&Case::new(layer(1), [70_000, 4]));
}

#[test]
fn groups_channels_first_and_last() {
    for (channels, groups) in [
        (1, 1),
        (4, 1),
        (4, 2),
        (6, 3),
        (8, 8),
        (32, 4),
        (50, 5),
        (64, 1),
    ] {
        for (height, width) in [(1, 2), (7, 7), (8, 8), (5, 3), (28, 28)] {
            for samples in [1, 3] {
                let first = [samples, channels, height, width];
                let last = [samples, height, width, channels];
                check_all(&Case::new(group(groups, 1), first));
                check_all(&Case::new(group(groups, 3), last));
                check_all(&Case::new(
                    group(groups, 2),
                    [samples, height, channels, width],
                ));
            }
        }
    }
    check_all(&Case::new(group(2, 1), [4, 8]));
    check_all(&Case::new(group(4, 1), [2, 16, 4, 5, 6]));
}

/// Each channel leaves several partial sums, which are all weighed by its gain.
#[test]
fn groups_of_long_channels() {
    check_all(&Case::new(group(2, 1), [1, 6, 130, 132]));
    check_all(&Case::new(group(1, 1), [2, 3, 9000]));
}

#[test]
fn instances_channels_first_and_last() {
    for channels in [1, 2, 3, 4, 8, 50, 64] {
        for (height, width) in [(1, 2), (7, 7), (8, 8), (5, 3), (28, 28)] {
            for samples in [1, 3] {
                let first = [samples, channels, height, width];
                let last = [samples, height, width, channels];
                check_all(&Case::new(instance(1), first));
                check_all(&Case::new(instance(3), last));
                check_all(&Case::new(instance(2), [samples, height, channels, width]));
            }
        }
    }
}

#[test]
fn instances_with_running_statistics() {
    for (shape, axis) in [([4, 6, 5, 5], 1), ([3, 7, 8, 8], 3), ([2, 3, 64, 64], 1)] {
        let case = Case::new(instance(axis), shape);
        let modes = [Mode::TRAIN, Mode::EVAL, Mode::RECOMPUTE];
        for mode in modes {
            check_all(&Case {
                mode,
                ..case.clone()
            });
        }
    }
}

/// Thousands of samples of which half lie far above the first, so that what one addition of their means
/// rounds away the next rounds away again.
#[test]
fn instances_whose_means_lie_far_apart() {
    let Some(device) = &device() else { return };
    for samples in [260, 4000, 30_000] {
        let case = Case {
            mode: Mode::TRAIN,
            ..Case::new(instance(1), [samples, 2, 16])
        };
        let mut inputs = case.inputs();
        for (i, x) in inputs.x.iter_mut().enumerate() {
            *x += if i / 32 % 2 == 1 { 1.1e5 } else { 0.0 };
        }
        case.check_with(device, &inputs);
    }
}

#[test]
fn renorm_with_tight_and_wide_limits() {
    for (shape, axis) in [
        (vec![8, 5], 1),
        (vec![4, 6, 7, 7], 1),
        (vec![4, 7, 7, 6], 3),
        (vec![16, 64, 8, 8], 1),
        (vec![64, 4, 4, 32], 3),
        (vec![2, 3, 100, 100], 1),
        (vec![300, 130], 1),
    ] {
        for (r_max, d_max) in [(1.0, 0.0), (1.1, 0.2), (3.0, 5.0)] {
            let norm = Norm::Renorm(BatchRenormOptions {
                channel_axis: axis,
                r_max,
                d_max,
                ..BatchRenormOptions::default()
            });
            for mode in [Mode::TRAIN, Mode::RECOMPUTE] {
                let case = Case::new(norm.clone(), &shape);
                check_all(&Case { mode, ..case });
            }
        }
    }
}

#[test]
fn weights_along_any_dimension() {
    for dim in 0..4 {
        check_all(&Case::new(weight(dim), [6, 5, 3, 3]));
        check_all(&Case::new(weight(dim), [16, 8, 4, 4]));
    }
    check_all(&Case::new(weight(0), [512, 64, 3, 3]));
    check_all(&Case::new(weight(0), [7, 1]));
    check_all(&Case::new(weight(1), [300, 1000]));
}

#[test]
fn means_far_above_the_deviations() {
    for offset in [1e3, 1e5, 1e7] {
        let cases = [
            Case::new(layer(1), [64, 1024]),
            Case::new(layer(1), [17, 500]),
            Case::new(group(4, 1), [3, 16, 13, 13]),
            Case::new(group(4, 3), [3, 13, 13, 16]),
            Case::new(instance(1), [3, 5, 32, 32]),
            Case::new(instance(3), [3, 32, 32, 5]),
            Case::new(renorm(1), [8, 6, 16, 16]),
        ];
        for case in cases {
            check_all(&Case { offset, ..case });
        }
    }
}

#[test]
fn parameters_are_optional_independently() {
    for (gamma, beta) in [(false, false), (true, false), (false, true)] {
        let cases = [
            Case::new(layer(1), [9, 100]),
            Case::new(rms(1), [9, 64]),
            Case::new(group(2, 1), [3, 4, 6, 6]),
            Case::new(instance(1), [3, 4, 6, 6]),
            Case::new(renorm(1), [9, 4, 6, 6]),
        ];
        for case in cases {
            check_all(&Case {
                gamma,
                beta,
                ..case
            });
        }
    }
}

#[test]
fn costs_name_what_a_backward_takes() {
    let Some(device) = &device() else { return };
    let shape = Shape::from([512, 256]);
    let options = LayerNormOptions::default();
    let cost = functional::cost(
        device,
        &shape,
        DType::F32,
        &options,
        functional::Operation::Backward,
    )
    .unwrap();
    // Rows that are held give dx and the sums of the gains in one pass over x and dy.
    assert_eq!((cost.strategy, cost.dispatches), ("resident_rows", 2));
    assert_eq!(cost.bytes, 3 * 4 * 512 * 256);
    let long = Shape::from([4, 100_000]);
    let cost = functional::cost(
        device,
        &long,
        DType::F32,
        &options,
        functional::Operation::Backward,
    )
    .unwrap();
    assert_eq!((cost.strategy, cost.dispatches), ("split_rows", 4));
    assert_eq!(cost.bytes, 7 * 4 * 4 * 100_000);
}

/// Checks a case on a device that binds so little that it is windowed.
fn check_windowed(binds: &Renewed, case: &Case) {
    let Some(device) = &binds.get() else { return };
    for plan in plans(device, case) {
        case.clone().planned(plan).check(device);
    }
}

#[test]
fn tensors_above_one_binding() {
    for case in [
        Case::new(layer(1), [60, 100]),
        Case::new(rms(1), [45, 101]),
        Case::new(group(2, 1), [6, 4, 15, 15]),
        Case::new(group(2, 3), [6, 15, 15, 4]),
        Case::new(group(1, 2), [3, 20, 4, 30]),
        Case::new(instance(1), [3, 3, 600]),
        Case::new(instance(1), [2, 1, 5000]),
        Case::new(instance(3), [3, 40, 40, 3]),
        Case::new(instance(3), [9, 10, 20, 4]),
        Case::new(instance(2), [3, 20, 4, 30]),
        Case::new(renorm(1), [20, 3, 100]),
        Case::new(renorm(1), [2000, 3]),
        Case::new(weight(1), [20, 3, 100]),
    ] {
        check_windowed(&BINDS_16384, &case);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn any_norm_of_any_shape(
        dims in proptest::collection::vec(1usize..20, 2..5),
        (which, axis, groups) in (0usize..6, 0usize..5, 1usize..5),
        seed in any::<u64>(),
        gpu in any::<bool>(),
    ) {
        let rank = dims.len();
        let axis_from_1 = 1 + axis % (rank - 1);
        let mut dims = dims;
        let norm = match which {
            0 => layer(1 + axis % rank),
            1 => rms(1 + axis % rank),
            2 => {
                dims[axis_from_1] = (dims[axis_from_1] / groups).max(1) * groups;
                group(groups, axis_from_1)
            }
            3 => instance(axis_from_1),
            4 => renorm(axis % rank),
            _ => weight(axis % rank),
        };
        let class = if gpu { DeviceClass::Gpu } else { DeviceClass::Cpu };
        let plan = PlanOptions { class: Some(class), strategy: None };
        let case = Case { seed, ..Case::new(norm, Shape::from(dims)) }.planned(plan);
        if let Some(device) = &device() && case.has_values() {
            case.check(device);
        }
    }
}
