//! Data that is laid out against the kernels: borders where the pivot samples might all fall, slices
//! that are nothing like the others, and sums of millions of rows.

use wgnorm::functional::Operation::Forward;
use wgnorm::{DeviceClass, Momentum, PlanOptions, Shape, Strategy, functional};

use crate::bounds::{check, compare, compare_forward};
use crate::case::{Case, Inputs};
use crate::device;
use crate::plans::CLASSES;

fn planned(shape: impl Into<Shape>, axis: usize, class: DeviceClass) -> Case {
    let plan = PlanOptions {
        strategy: None,
        class: Some(class),
    };
    let mut case = Case::new(shape, axis).planned(plan);
    // The running statistics show the batch's own, undiluted.
    case.options.momentum = Momentum::NewWeight(1.0);
    case
}

/// Sets the first column of every image to zero.
fn with_border(case: &Case, inputs: &mut Inputs, width: usize, inner: usize) {
    assert_eq!(case.shape.numel() % (width * inner), 0);
    for (i, x) in inputs.x.iter_mut().enumerate() {
        if (i / inner).is_multiple_of(width) {
            *x = 0.0;
        }
    }
}

#[test]
fn an_image_border_does_not_take_all_samples_of_the_pivot() {
    let Some(device) = &device() else { return };
    let shapes: [(&[usize], usize, usize); 3] = [
        (&[2, 3, 160, 160], 1, 1),
        (&[1, 64, 80, 80], 1, 1),
        (&[2, 160, 160, 4], 3, 4),
    ];
    for (shape, axis, inner) in shapes {
        for class in CLASSES {
            let case = Case {
                offset: 30.0,
                ..planned(shape, axis, class)
            };
            let mut inputs = case.inputs();
            let width = shape[if axis == 1 { 3 } else { 2 }];
            with_border(&case, &mut inputs, width, inner);
            let outputs = case.run(device, &inputs);
            compare(&case, &inputs, &outputs, &case.expected(&inputs));
        }
    }
}

/// Whether a value lies far from the others of its slot, by its place.
type Outlies = fn(usize) -> bool;

#[test]
fn a_border_or_an_end_does_not_take_the_pivot_of_a_slot_in_registers() {
    let Some(device) = &device() else { return };
    // Rows of an image and its columns that are a border, a few of a row of values, and its last ones.
    let cases: [(&[usize], Outlies, f32); 6] = [
        (&[1, 64, 32, 32], |at| at % 32 < 3, 0.0),
        (&[1, 64, 64, 64], |at| at % 64 < 4, 0.0),
        (&[1, 64, 32, 128], |at| at % 128 < 3, 0.0),
        (&[1, 64, 1024], |at| [0, 33, 66].contains(&at), 1e4),
        (&[1, 64, 160], |at| at >= 157, 1e4),
        (&[1, 64, 2052], |at| at >= 2049, 1e4),
    ];
    let mut held = 0;
    for (shape, outlies, value) in cases {
        for class in CLASSES {
            let mut case = Case {
                offset: 30.0,
                ..planned(shape, 1, class)
            };
            case.options.plan.strategy = Some(Strategy::Resident);
            if functional::cost(device, &case.shape, case.dtype, &case.options, Forward).is_err() {
                continue;
            }
            held += 1;
            let mut inputs = case.inputs();
            let n = case.n();
            for (i, x) in inputs.x.iter_mut().enumerate() {
                if outlies(i % n) {
                    *x = value;
                }
            }
            let outputs = case.run(device, &inputs);
            compare_forward(&case, &inputs, &outputs, &case.expected(&inputs));
        }
    }
    assert_eq!(
        held, 9,
        "six on a GPU, and the three smaller ones on a software driver"
    );
}

#[test]
fn an_outlying_first_slice_does_not_spoil_the_channel() {
    let Some(device) = &device() else { return };
    let shapes: [(&[usize], usize); 2] = [(&[1, 1, 1 << 22], 1), (&[1 << 17, 16], 1)];
    for (shape, axis) in shapes {
        for class in CLASSES {
            let case = planned(shape, axis, class);
            let mut inputs = case.inputs();
            let outlying = inputs.x.len() / 256;
            for x in &mut inputs.x[..outlying] {
                *x += 1e5;
            }
            let outputs = case.run(device, &inputs);
            compare_forward(&case, &inputs, &outputs, &case.expected(&inputs));
        }
    }
}

#[test]
fn sums_of_a_million_rows() {
    let Some(device) = &device() else { return };
    check(device, &planned([1 << 20, 9], 1, DeviceClass::Cpu));
    check(device, &planned([1 << 16, 9], 1, DeviceClass::Gpu));
    check(device, &planned([4096, 257], 1, DeviceClass::Gpu));
    check(device, &planned([2048, 1024], 1, DeviceClass::Gpu));
    check(device, &planned([1 << 20, 3, 2], 1, DeviceClass::Cpu));
}

/// Sums of 256 terms in one go broke these bounds in some seeds.
#[test]
fn sums_of_long_columns_of_many_channels() {
    let Some(device) = &device() else { return };
    for shape in [[32, 14, 14, 256], [64, 7, 7, 512]] {
        for class in CLASSES {
            for seed in 1..=3 {
                let case = planned(shape, 3, class);
                check(device, &Case { seed, ..case });
            }
        }
    }
}

#[test]
#[ignore = "takes three minutes, nearly all of it in float64"]
fn sums_of_very_long_columns() {
    let Some(device) = &device() else { return };
    for class in CLASSES {
        for seed in 1..=8 {
            let case = planned([401_408, 64], 1, class);
            check(device, &Case { seed, ..case });
        }
    }
}

#[test]
fn values_of_any_scale() {
    let Some(device) = &device() else { return };
    let shapes: [(&[usize], usize); 2] = [(&[8, 3, 14, 14], 1), (&[500, 8], 1)];
    for (shape, axis) in shapes {
        for class in CLASSES {
            let mut case = planned(shape, axis, class);
            for scale in [1e-15, 1e-6, 1e6, 1e15] {
                let mut inputs = case.inputs();
                inputs.x.iter_mut().for_each(|x| *x *= scale);
                // Small values have to stand out from eps.
                case.options.eps = if scale < 1.0 { 1e-37 } else { 1e-5 };
                let outputs = case.run(device, &inputs);
                compare_forward(&case, &inputs, &outputs, &case.expected(&inputs));
            }
            // A variance that f32 cannot hold must not pass for a large one, which would make y
            // beta.
            let mut inputs = case.inputs();
            inputs.x.iter_mut().for_each(|x| *x *= 1e19);
            let outputs = case.run(device, &inputs);
            assert!(outputs.y.iter().all(|y| y.is_nan()), "{case:?}");
        }
    }
}
