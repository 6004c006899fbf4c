//! Spectral norm against float64: every shape in both classes of device, every number of iterations.

use wgnorm::DeviceClass;

use crate::device;
use crate::spectral_case::{Case, Errors};

/// Shapes and dims: rows and columns of 1, odd ones, dims in the middle and last, and such as need
/// several tiles, slices and rows of lanes.
const SHAPES: [(&[usize], usize); 25] = [
    (&[1, 1], 0),
    (&[1, 1], 1),
    (&[1, 7], 0),
    (&[1, 7], 1),
    (&[7, 1], 0),
    (&[7, 1], 1),
    (&[1, 40_000], 0),
    (&[40_001, 1], 0),
    (&[5, 1, 3], 1),
    (&[7, 5, 3], 0),
    (&[7, 5, 3], 1),
    (&[7, 5, 3], 2),
    (&[64, 3, 3, 3], 0),
    (&[32, 64, 4, 4], 1),
    (&[48, 33, 3, 3], 1),
    (&[2, 3, 4, 5, 6], 2),
    (&[128, 64], 0),
    (&[128, 64], 1),
    (&[129, 67], 0),
    (&[129, 67], 1),
    (&[3, 20_000], 0),
    (&[20_000, 3], 0),
    (&[20_000, 4], 1),
    (&[300, 2, 2], 1),
    (&[1000, 10, 1], 1),
];

fn check_all(class: DeviceClass) {
    let Some(device) = &device() else { return };
    let mut worst = Errors::default();
    for (dims, dim) in SHAPES {
        for iterations in [0, 1, 3] {
            let case = Case::new(dims, dim, iterations).for_class(class);
            worst = worst.max(case.check(device));
        }
    }
    println!("worst for {class:?}: {worst:?}");
}

#[test]
fn spectral_shapes_as_on_a_gpu() {
    check_all(DeviceClass::Gpu);
}

#[test]
fn spectral_shapes_as_on_a_cpu() {
    check_all(DeviceClass::Cpu);
}

/// So long that one lane's share of a software driver's usual slices would be too much for it.
#[test]
fn spectral_shapes_with_long_lanes() {
    let Some(device) = &device() else { return };
    for (dims, dim) in [
        ([1, 5_000_001], 0),
        ([5_000_001, 1], 0),
        ([1_000_000, 5], 0),
    ] {
        let case = Case::new(dims, dim, 1).for_class(DeviceClass::Cpu);
        println!("{dims:?}, dim {dim}: {:?}", case.check(device));
    }
}

#[test]
fn spectral_large_convolution() {
    let Some(device) = &device() else { return };
    for class in [DeviceClass::Gpu, DeviceClass::Cpu] {
        for dim in [0, 1] {
            let case = Case::new([512, 512, 3, 3], dim, 1).for_class(class);
            println!("{class:?}, dim {dim}: {:?}", case.check(device));
        }
    }
}
