//! Tensors above one binding, on devices that bind so little that small tensors are windowed too:
//! between rows, between channels, and within one channel.

use wgnorm::functional::{self, Backward, Forward, Running};
use wgnorm::{
    BatchNormOptions, DType, Device, Mode, Momentum, RunningVariance, Statistics, Tensor, wgpu,
};

use crate::bounds::check;
use crate::case::Case;
use crate::case::MODES;
use crate::others::{BINDS_1024, BINDS_4096, BINDS_16384};
use crate::places::{self, Run};
use crate::spoilt::expect;
use crate::{device, plans};

/// The bytes of one binding, and shapes that are windowed there: the state has to fit one binding.
type Shapes = (u64, &'static [(&'static [usize], usize)]);

const BY_ROWS: [Shapes; 3] = [
    (
        1024,
        &[
            (&[9, 3, 20], 1),
            (&[16, 3, 13], 1),
            (&[15, 3, 7], 1),
            (&[130, 2, 2], 1),
        ],
    ),
    (
        4096,
        &[
            (&[40, 3, 50], 1),
            (&[20, 3, 64], 1),
            // Windows that begin at a multiple of 64 rows.
            (&[300, 3, 4], 1),
            (&[200, 2, 5], 1),
            // One window for each row, and such that begin anywhere in a word.
            (&[5, 3, 300], 1),
            (&[8, 3, 111], 1),
            (&[7, 3, 111], 1),
            (&[6, 2, 2, 3, 37], 2),
        ],
    ),
    (16_384, &[(&[7, 3, 999], 1), (&[12, 3, 333], 1)]),
];

const BY_CHANNELS: [Shapes; 3] = [
    (
        1024,
        &[(&[2, 4, 70], 1), (&[2, 5, 37], 1), (&[4, 5, 49], 1)],
    ),
    (
        4096,
        &[
            (&[3, 5, 300], 1),
            (&[3, 5, 333], 1),
            (&[4, 5, 333], 1),
            (&[2, 7, 500], 1),
            (&[4, 3, 31, 17], 1),
            (&[1, 100, 12], 1),
            (&[1, 8, 150], 1),
        ],
    ),
    (16_384, &[(&[2, 3, 3333], 1), (&[1, 50, 99], 1)]),
];

const WITHIN_A_CHANNEL: [Shapes; 3] = [
    (
        1024,
        &[(&[1, 2, 300], 1), (&[1, 300], 0), (&[2, 2, 250], 1)],
    ),
    (
        4096,
        &[
            (&[2, 3, 1500], 1),
            (&[2, 2, 2001], 1),
            (&[2, 2, 2002], 1),
            (&[1, 3, 4997], 1),
            (&[1, 1, 5000], 1),
            (&[7, 1, 333], 1),
            (&[1111, 1], 1),
        ],
    ),
    (16_384, &[(&[2, 2, 10_001], 1)]),
];

const CHANNELS_LAST: [Shapes; 3] = [
    (1024, &[(&[100, 3], 1), (&[70, 5], 1), (&[40, 8], 1)]),
    (
        4096,
        &[
            (&[400, 3], 1),
            (&[2, 100, 7], 2),
            (&[600, 4], 1),
            (&[37, 50], 1),
            (&[60, 20], 1),
            (&[3000, 2], 1),
        ],
    ),
    (
        16_384,
        &[
            (&[100, 64], 1),
            (&[90, 66], 1),
            (&[9, 13, 17, 12], 3),
            (&[60, 130], 1),
        ],
    ),
];

/// Every shape with every strategy and class.
fn cases(shapes: &[Shapes]) -> Vec<(Device, Case)> {
    let mut cases = Vec::new();
    for &(bytes, shapes) in shapes {
        let device = match bytes {
            1024 => &BINDS_1024,
            4096 => &BINDS_4096,
            _ => &BINDS_16384,
        };
        let Some(device) = &device.get() else {
            continue;
        };
        assert_eq!(device.limits().max_binding_bytes, bytes);
        for &(shape, axis) in shapes {
            let case = Case::new(shape, axis);
            let forward = functional::Operation::Forward;
            let forward = functional::cost(device, &case.shape, case.dtype, &case.options, forward);
            assert!(forward.unwrap().dispatches > 2, "{shape:?} is one window");
            for plan in plans::forced(device, &case) {
                cases.push((device.clone(), case.clone().planned(plan)));
            }
        }
    }
    cases
}

/// Every mode, and what counts batches: that must happen once, not once for each window.
fn check_modes(shapes: &[Shapes]) {
    for (ref device, case) in cases(shapes) {
        for mode in MODES {
            let case = case.clone();
            check(device, &Case { mode, ..case });
        }
        for mode in [MODES[0], MODES[3]] {
            let mut case = case.clone();
            case.options.momentum = Momentum::Cumulative;
            case.options.running_variance = RunningVariance::Biased;
            check(device, &Case { mode, ..case });
        }
        check(
            device,
            &Case {
                running: false,
                gamma: false,
                beta: false,
                mode: Mode::RECOMPUTE,
                offset: 1e4,
                ..case
            },
        );
    }
}

/// In place, in one buffer, and with every choice of gradients, for one size of bindings.
fn check_places(shapes: &[Shapes]) {
    let shapes: Vec<Shapes> = shapes.iter().copied().filter(|s| s.0 == 4096).collect();
    for (ref device, case) in cases(&shapes) {
        for mode in [Mode::TRAIN, Mode::EVAL] {
            let case = case.clone();
            let run = Run::new(device, Case { mode, ..case });
            places::in_place(&run);
            if mode == Mode::TRAIN {
                places::one_buffer(&run);
                places::choices_of_gradients(&run);
            }
        }
    }
}

#[test]
fn between_rows() {
    check_modes(&BY_ROWS);
}

#[test]
fn between_channels() {
    check_modes(&BY_CHANNELS);
}

#[test]
fn within_a_channel() {
    check_modes(&WITHIN_A_CHANNEL);
}

#[test]
fn channels_last() {
    check_modes(&CHANNELS_LAST);
}

#[test]
fn in_place_between_rows() {
    check_places(&BY_ROWS);
}

#[test]
fn in_place_between_channels() {
    check_places(&BY_CHANNELS);
}

#[test]
fn in_place_within_a_channel() {
    check_places(&WITHIN_A_CHANNEL);
}

#[test]
fn in_place_channels_last() {
    check_places(&CHANNELS_LAST);
}

/// By running statistics every element has the same arithmetic wherever it lies.
#[test]
fn inference_has_the_bits_of_one_binding() {
    let Some(whole) = &device() else { return };
    let all = [BY_ROWS, BY_CHANNELS, WITHIN_A_CHANNEL, CHANNELS_LAST].concat();
    for (ref device, case) in cases(&all) {
        let case = Case {
            mode: Mode::EVAL,
            ..case
        };
        if !plans::applies(whole, &case) {
            continue;
        }
        let inputs = case.inputs();
        let (got, want) = (case.run(device, &inputs), case.run(whole, &inputs));
        assert_eq!(got.y, want.y, "{case:?}: y");
        assert_eq!(got.dx, want.dx, "{case:?}: dx");
        assert_eq!(case.mode.statistics, Statistics::Running);
    }
}

/// Lengths for which equal pieces would leave nothing, or less than nothing, for the last one.
#[test]
fn no_piece_of_a_channel_is_empty() {
    for device in [&BINDS_1024.get(), &BINDS_4096.get()].into_iter().flatten() {
        let elements = device.limits().max_binding_bytes as usize / 4;
        for inner in elements - 70..=elements + 600 {
            if inner % 3 == 0 || inner % 64 < 12 {
                for plan in plans::chosen() {
                    check(device, &Case::new([1, 2, inner], 1).planned(plan));
                }
            }
        }
    }
}

/// Parameters and the state are shown whole.
#[test]
fn parameters_above_one_binding_are_refused() {
    let Some(device) = &BINDS_1024.get() else {
        return;
    };
    let zeros = |len: usize| device.upload(&vec![0.0f32; len], [len]).unwrap();
    let [x, y] = [(); 2].map(|()| device.upload(&[1.0f32; 600], [2, 300]).unwrap());
    let (long, small) = (zeros(300), zeros(64));
    let refused = |result, name: &str| {
        let message = format!("bytes of {name}: 1200 exceeds");
        expect(result, &[&message, "limit of 1024"]);
    };
    let plain = Forward::new(&x, &y);
    let (gamma, beta, state) = (Some(&long), Some(&long), Some(&long));
    let running = Some(Running {
        mean: &long,
        var: &long,
        num_batches_tracked: None,
    });
    for (name, mode, tensors) in [
        ("gamma", Mode::RECOMPUTE, Forward { gamma, ..plain }),
        ("beta", Mode::RECOMPUTE, Forward { beta, ..plain }),
        ("the state", Mode::RECOMPUTE, Forward { state, ..plain }),
        ("running_mean", Mode::EVAL, Forward { running, ..plain }),
    ] {
        let mut recorder = device.recorder();
        let options = BatchNormOptions::default();
        let result = functional::forward(&mut recorder, &tensors, &options, mode);
        refused(result, name);
    }
    let plain = Backward::new(&x, &y, &small);
    let (dgamma, dbeta) = (Some(&long), Some(&long));
    for (name, tensors) in [
        ("gamma", Backward { gamma, ..plain }),
        ("dgamma", Backward { dgamma, ..plain }),
        ("dbeta", Backward { dbeta, ..plain }),
    ] {
        let mut recorder = device.recorder();
        let options = BatchNormOptions::default();
        let result = functional::backward(&mut recorder, &tensors, &options, Statistics::Batch);
        refused(result, name);
    }
}

#[test]
fn ranges_above_one_binding_can_be_wrapped_and_copied() {
    let Some(device) = &BINDS_1024.get() else {
        return;
    };
    let buffer = device.wgpu_device().create_buffer(&wgpu::BufferDescriptor {
        label: Some("above one binding"),
        size: 8192,
        usage: wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::COPY_SRC
            | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let tensor = Tensor::from_buffer(device, buffer, 256, [4, 400], DType::F32).unwrap();
    let values: Vec<f32> = (0..1600u16).map(f32::from).collect();
    device.write(&tensor, &values).unwrap();
    assert_eq!(device.download::<f32>(&tensor).unwrap(), values);
    let uploaded = device.upload(&values, [4, 400]).unwrap();
    assert_eq!(device.download::<f32>(&uploaded).unwrap(), values);
}
