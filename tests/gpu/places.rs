//! In place, several tensors in one buffer, and which gradients are wanted.

use wgnorm::functional::{self, Backward, Forward, Running};
use wgnorm::{DType, Device, Mode, Tensor, wgpu};

use crate::case::{Case, Inputs, MODES, Outputs};
use crate::{device, plans, stored};

/// A buffer that tensors are cut from, as a framework's allocator does.
struct Arena<'d> {
    device: &'d Device,
    buffer: wgpu::Buffer,
    used: u64,
}

impl<'d> Arena<'d> {
    fn new(device: &'d Device) -> Self {
        let buffer = device.wgpu_device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("arena"),
            size: 1 << 22,
            usage: wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::COPY_SRC
                | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Self {
            device,
            buffer,
            used: 0,
        }
    }

    fn empty(&mut self, len: usize, shape: &[usize]) -> Tensor {
        self.empty_of(len, shape, DType::F32)
    }

    fn empty_of(&mut self, len: usize, shape: &[usize], dtype: DType) -> Tensor {
        let offset = self.used;
        self.used = (offset + dtype.size() * len as u64).next_multiple_of(256);
        Tensor::from_buffer(self.device, self.buffer.clone(), offset, shape, dtype).unwrap()
    }

    fn stored(&mut self, values: &[f32], shape: &[usize], dtype: DType) -> Tensor {
        let tensor = self.empty_of(values.len(), shape, dtype);
        stored::write(self.device, &tensor, values);
        tensor
    }

    fn filled(&mut self, values: &[f32], shape: &[usize]) -> Tensor {
        let tensor = self.empty(values.len(), shape);
        self.device.write(&tensor, values).unwrap();
        tensor
    }
}

/// A case with what it is run on and what came out of it.
pub(crate) struct Run {
    pub(crate) device: Device,
    pub(crate) case: Case,
    pub(crate) inputs: Inputs,
    pub(crate) outputs: Outputs,
}

impl Run {
    pub(crate) fn new(device: &Device, case: Case) -> Self {
        let inputs = case.inputs();
        let outputs = case.run(device, &inputs);
        Self {
            device: device.clone(),
            case,
            inputs,
            outputs,
        }
    }
}

fn runs() -> Vec<Run> {
    let Some(device) = &device() else {
        return Vec::new();
    };
    let shapes: [(&[usize], usize); 6] = [
        (&[4, 3, 16, 16], 1),
        (&[5, 3, 7, 7], 1),
        // Words that straddle two channels, the last of them the next row's first.
        (&[4, 2, 5, 5], 1),
        (&[300, 6], 1),
        (&[9, 50], 1),
        (&[40, 64], 1),
    ];
    let mut runs = Vec::new();
    for (shape, axis) in shapes {
        let case = Case::new(shape, axis);
        for plan in plans::forced(device, &case) {
            for mode in [Mode::TRAIN, Mode::EVAL, MODES[3]] {
                let case = case.clone().planned(plan);
                runs.push(Run::new(device, Case { mode, ..case }));
            }
        }
    }
    runs
}

#[test]
fn all_tensors_in_one_buffer_give_the_same_bits() {
    for run in runs() {
        one_buffer(&run);
    }
}

pub(crate) fn one_buffer(run: &Run) {
    let Run {
        device,
        case,
        inputs,
        outputs: want,
    } = run;
    let mut arena = Arena::new(device);
    let dims = case.shape.dims();
    let c = case.channels();
    let (x, dy) = (
        arena.stored(&inputs.x, dims, case.dtype),
        arena.stored(&inputs.dy, dims, case.dtype),
    );
    let (y, dx) = (
        arena.empty_of(inputs.x.len(), dims, case.dtype),
        arena.empty_of(inputs.x.len(), dims, case.dtype),
    );
    let (gamma, beta) = (
        arena.filled(&inputs.gamma, &[c]),
        arena.filled(&inputs.beta, &[c]),
    );
    let mean = arena.filled(&inputs.running_mean, &[c]);
    let var = arena.filled(&inputs.running_var, &[c]);
    let (dgamma, dbeta) = (arena.empty(c, &[c]), arena.empty(c, &[c]));
    let len = functional::state_len(device, &case.shape, &case.options).unwrap();
    let state = arena.empty(len, &[len]);
    let running = Running {
        mean: &mean,
        var: &var,
        num_batches_tracked: None,
    };
    let forward = Forward {
        state: Some(&state),
        gamma: Some(&gamma),
        beta: Some(&beta),
        running: Some(running),
        ..Forward::new(&x, &y)
    };
    let backward = Backward {
        gamma: Some(&gamma),
        dx: Some(&dx),
        dgamma: Some(&dgamma),
        dbeta: Some(&dbeta),
        ..Backward::new(&x, &dy, &state)
    };
    let mut recorder = device.recorder();
    functional::forward(&mut recorder, &forward, &case.options, case.mode).unwrap();
    functional::backward(
        &mut recorder,
        &backward,
        &case.options,
        case.mode.statistics,
    )
    .unwrap();
    recorder.submit().unwrap();
    let results = [
        (&y, &want.y),
        (&dx, &want.dx),
        (&dgamma, &want.dgamma),
        (&dbeta, &want.dbeta),
        (&mean, &want.running_mean),
        (&var, &want.running_var),
    ];
    for (got, want) in results {
        assert_eq!(&stored::download(device, got), want, "{case:?}");
    }
}

#[test]
fn in_place_gives_the_same_bits() {
    for run in runs() {
        in_place(&run);
    }
}

/// Lanes of split columns that own fewer words than others go over their last one again, which is written by
/// then: here all but the first own 4 of 5, 8 of 9 and 12 of 13.
#[test]
fn columns_in_place_whatever_a_lane_owns() {
    let Some(device) = &device() else { return };
    for (rows, channels) in [(100, 33), (64, 144), (40, 272), (64, 400)] {
        let case = Case::new([rows, channels], 1);
        for plan in plans::forced(device, &case) {
            for mode in [Mode::TRAIN, Mode::EVAL] {
                let case = case.clone().planned(plan);
                in_place(&Run::new(device, Case { mode, ..case }));
            }
        }
    }
}

pub(crate) fn in_place(run: &Run) {
    let Run {
        device,
        case,
        inputs,
        outputs: want,
    } = run;
    let upload = |values: &[f32]| stored::upload(device, values, &case.shape, case.dtype);
    let vector = |values: &[f32]| device.upload(values, [values.len()]).unwrap();
    let (x, y) = (upload(&inputs.x), upload(&inputs.x));
    // dx takes the place of dy in one run and of x in the other.
    let (dy, over_x, over_dy) = (upload(&inputs.dy), upload(&inputs.x), upload(&inputs.dy));
    let (gamma, beta) = (vector(&inputs.gamma), vector(&inputs.beta));
    let (mean, var) = (vector(&inputs.running_mean), vector(&inputs.running_var));
    let len = functional::state_len(device, &case.shape, &case.options).unwrap();
    let state = device.empty([len], DType::F32).unwrap();
    let forward = Forward {
        state: Some(&state),
        gamma: Some(&gamma),
        beta: Some(&beta),
        running: Some(Running {
            mean: &mean,
            var: &var,
            num_batches_tracked: None,
        }),
        ..Forward::new(&y, &y)
    };
    let backward = Backward {
        gamma: Some(&gamma),
        dx: Some(&over_x),
        ..Backward::new(&over_x, &dy, &state)
    };
    let statistics = case.mode.statistics;
    let mut recorder = device.recorder();
    functional::forward(&mut recorder, &forward, &case.options, case.mode).unwrap();
    functional::backward(&mut recorder, &backward, &case.options, statistics).unwrap();
    let backward = Backward {
        x: &x,
        dy: &over_dy,
        dx: Some(&over_dy),
        ..backward
    };
    functional::backward(&mut recorder, &backward, &case.options, statistics).unwrap();
    recorder.submit().unwrap();
    assert_eq!(stored::download(device, &y), want.y, "{case:?}: y on x");
    assert_eq!(
        stored::download(device, &over_x),
        want.dx,
        "{case:?}: dx on x"
    );
    assert_eq!(
        stored::download(device, &over_dy),
        want.dx,
        "{case:?}: dx on dy"
    );
}

#[test]
fn every_choice_of_gradients_gives_the_same_bits() {
    for run in runs() {
        choices_of_gradients(&run);
    }
}

pub(crate) fn choices_of_gradients(run: &Run) {
    let Run {
        device,
        case,
        inputs,
        outputs: want,
    } = run;
    let upload = |values: &[f32]| stored::upload(device, values, &case.shape, case.dtype);
    let vector = |values: &[f32]| device.upload(values, [values.len()]).unwrap();
    let (x, dy, y) = (upload(&inputs.x), upload(&inputs.dy), upload(&inputs.x));
    let gamma = vector(&inputs.gamma);
    let (mean, var) = (vector(&inputs.running_mean), vector(&inputs.running_var));
    let len = functional::state_len(device, &case.shape, &case.options).unwrap();
    let state = device.empty([len], DType::F32).unwrap();
    let running = Running {
        mean: &mean,
        var: &var,
        num_batches_tracked: None,
    };
    for wanted in 0..8u32 {
        let nan = |len: usize| vec![f32::NAN; len];
        let dx = upload(&nan(inputs.x.len()));
        let [dgamma, dbeta] = [(); 2].map(|()| vector(&nan(case.channels())));
        let forward = Forward {
            state: Some(&state),
            gamma: Some(&gamma),
            running: Some(running),
            ..Forward::new(&x, &y)
        };
        let backward = Backward {
            gamma: Some(&gamma),
            dx: (wanted & 1 != 0).then_some(&dx),
            dgamma: (wanted & 2 != 0).then_some(&dgamma),
            dbeta: (wanted & 4 != 0).then_some(&dbeta),
            ..Backward::new(&x, &dy, &state)
        };
        let mode = Mode {
            update_running: false,
            ..case.mode
        };
        let mut recorder = device.recorder();
        functional::forward(&mut recorder, &forward, &case.options, mode).unwrap();
        functional::backward(&mut recorder, &backward, &case.options, mode.statistics).unwrap();
        recorder.submit().unwrap();
        let results = [
            (&dx, &want.dx),
            (&dgamma, &want.dgamma),
            (&dbeta, &want.dbeta),
        ];
        for (bit, (got, want)) in results.into_iter().enumerate() {
            let got = stored::download(device, got);
            if wanted & (1 << bit) == 0 {
                assert!(
                    got.iter().all(|value| value.is_nan()),
                    "{case:?}: written unasked"
                );
            } else {
                assert_eq!(&got, want, "{case:?}: gradients {wanted:03b}, output {bit}");
            }
        }
    }
    assert!(case.mode.update_running || want.tracked == inputs.tracked);
}
