//! What an application counts on that embeds the functional layer: nothing is created in a warm frame,
//! nothing is submitted or polled, and its own commands go between those of wgnorm.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wgnorm::functional::{self, Backward, Forward, NormOptions, Running};
use wgnorm::{
    DType, Device, GroupNormOptions, LayerNormOptions, Mode, Recorder, RmsNormOptions, Shape,
    Tensor, wgpu,
};

use crate::bounds::l2;
use crate::case::{Case, Inputs};
use crate::{device, plans};

/// The application: one buffer with all tensors of a case, each at the next aligned offset.
struct App<'a> {
    device: &'a Device,
    case: Case,
    arena: wgpu::Buffer,
    used: u64,
}

/// The tensors of a step, all of them in the application's buffer.
struct Step {
    x: Tensor,
    dy: Tensor,
    y: Tensor,
    dx: Tensor,
    state: Tensor,
    gamma: Tensor,
    beta: Tensor,
    mean: Tensor,
    var: Tensor,
    tracked: Tensor,
    dgamma: Tensor,
    dbeta: Tensor,
}

impl<'a> App<'a> {
    fn new(device: &'a Device, case: Case) -> Self {
        let arena = device.wgpu_device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("the application's"),
            size: 1 << 21,
            usage: wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::COPY_SRC
                | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Self {
            device,
            case,
            arena,
            used: 0,
        }
    }

    fn cut(&mut self, shape: &Shape, dtype: DType) -> Tensor {
        let start = self.device.limits().aligned(self.used);
        self.used = start + dtype.bytes(shape);
        Tensor::from_buffer(self.device, self.arena.clone(), start, shape, dtype).unwrap()
    }

    /// The tensors for any norm, with parameters of so many elements.
    fn step(&mut self, options: &impl NormOptions, parameters: usize) -> Step {
        let shape = self.case.shape.clone();
        let len = functional::state_len(self.device, &shape, options).unwrap();
        let (state, vector) = (Shape::from([len]), Shape::from([parameters]));
        let mut f32s = |shape: &Shape| self.cut(shape, DType::F32);
        Step {
            x: f32s(&shape),
            dy: f32s(&shape),
            y: f32s(&shape),
            dx: f32s(&shape),
            state: f32s(&state),
            gamma: f32s(&vector),
            beta: f32s(&vector),
            mean: f32s(&vector),
            var: f32s(&vector),
            dgamma: f32s(&vector),
            dbeta: f32s(&vector),
            tracked: self.cut(&Shape::from([1]), DType::U32),
        }
    }

    /// The tensors of the case's batch norm, filled.
    fn filled(&mut self) -> (Step, Inputs) {
        let (options, channels) = (self.case.options, self.case.channels());
        let step = self.step(&options, channels);
        let inputs = self.case.inputs();
        let write = |tensor, values: &[f32]| self.device.write(tensor, values).unwrap();
        write(&step.x, &inputs.x);
        write(&step.dy, &inputs.dy);
        write(&step.gamma, &inputs.gamma);
        write(&step.beta, &inputs.beta);
        write(&step.mean, &inputs.running_mean);
        write(&step.var, &inputs.running_var);
        self.device.write(&step.tracked, &[inputs.tracked]).unwrap();
        (step, inputs)
    }
}

impl Step {
    fn forward(
        &self,
        recorder: &mut Recorder<'_>,
        options: &impl NormOptions,
        mode: Mode,
        runs: bool,
    ) {
        let running = runs.then_some(Running {
            mean: &self.mean,
            var: &self.var,
            num_batches_tracked: Some(&self.tracked),
        });
        let forward = Forward {
            state: Some(&self.state),
            gamma: Some(&self.gamma),
            beta: Some(&self.beta),
            running,
            ..Forward::new(&self.x, &self.y)
        };
        functional::forward(recorder, &forward, options, mode).unwrap();
    }

    fn backward(&self, recorder: &mut Recorder<'_>, options: &impl NormOptions, mode: Mode) {
        let backward = Backward {
            gamma: Some(&self.gamma),
            dx: Some(&self.dx),
            dgamma: Some(&self.dgamma),
            dbeta: Some(&self.dbeta),
            ..Backward::new(&self.x, &self.dy, &self.state)
        };
        functional::backward(recorder, &backward, options, mode.statistics).unwrap();
    }
}

/// How many there are of everything that recording could create.
fn objects(device: &Device) -> [isize; 9] {
    let hal = device.wgpu_device().get_internal_counters().hal;
    let objects = [
        hal.buffers,
        hal.textures,
        hal.bind_groups,
        hal.bind_group_layouts,
        hal.pipeline_layouts,
        hal.compute_pipelines,
        hal.shader_modules,
        hal.query_sets,
        hal.memory_allocations,
    ];
    objects.map(|counter| counter.read())
}

/// A device whose counters and submissions no other test moves.
fn own_device() -> Option<Device> {
    device().map(|_| Device::new().unwrap())
}

fn encoder(device: &Device) -> wgpu::CommandEncoder {
    let descriptor = wgpu::CommandEncoderDescriptor::default();
    device.wgpu_device().create_command_encoder(&descriptor)
}

/// Rehearses a step, then records it as a frame does, and says what each of them has created while
/// nothing could go yet.
fn created(
    device: &Device,
    step: &Step,
    options: &impl NormOptions,
    mode: Mode,
    runs: bool,
) -> [bool; 2] {
    let before = objects(device);
    let mut rehearsal = device.recorder();
    step.forward(&mut rehearsal, options, mode, runs);
    step.backward(&mut rehearsal, options, mode);
    drop(rehearsal);
    let rehearsed = objects(device);
    let mut encoder = encoder(device);
    let mut recorder = device.record_into(&mut encoder);
    step.forward(&mut recorder, options, mode, runs);
    step.backward(&mut recorder, options, mode);
    drop(recorder);
    let commands = encoder.finish();
    let recorded = objects(device);
    device.wgpu_queue().submit([commands]);
    [before != rehearsed, rehearsed != recorded]
}

#[test]
fn a_rehearsed_frame_creates_nothing() {
    let Some(device) = own_device() else { return };
    let shapes: [(&[usize], usize); 3] = [(&[8, 6, 20, 20], 1), (&[40, 64], 1), (&[5, 3, 7, 7], 1)];
    for (shape, axis) in shapes {
        for plan in plans::all(&device, &Case::new(shape, axis)) {
            for mode in [Mode::TRAIN, Mode::EVAL, Mode::RECOMPUTE] {
                let case = Case {
                    mode,
                    ..Case::new(shape, axis).planned(plan)
                };
                let mut app = App::new(&device, case.clone());
                let (step, _) = app.filled();
                let created = created(&device, &step, &case.options, mode, true);
                assert_eq!(created, [true, false], "{case:?}");
            }
        }
    }
}

#[test]
fn a_rehearsed_frame_of_the_relatives_creates_nothing() {
    let Some(device) = own_device() else { return };
    let case = Case::new([8, 12, 10, 10], 1);
    let app = || App::new(&device, case.clone());
    let mode = Mode::RECOMPUTE;
    let groups = GroupNormOptions {
        groups: 4,
        ..GroupNormOptions::default()
    };
    // Gradients of gains of elements go across rows, by kernels of their own.
    let rows = LayerNormOptions {
        normalized_dims: 3,
        ..LayerNormOptions::default()
    };
    let rms = RmsNormOptions::default();
    let by_group = created(&device, &app().step(&groups, 12), &groups, mode, false);
    let by_row = created(&device, &app().step(&rows, 1200), &rows, mode, false);
    let by_last = created(&device, &app().step(&rms, 10), &rms, mode, false);
    assert_eq!([by_group, by_row, by_last], [[true, false]; 3]);
}

#[test]
fn a_rehearsal_does_nothing_and_a_frame_gives_the_same_bits_as_buffers_apart() {
    let Some(device) = &device() else { return };
    let case = Case::new([8, 6, 20, 20], 1);
    let mut app = App::new(device, case.clone());
    let (step, inputs) = app.filled();
    let untouched = || {
        let read = |tensor| device.download::<f32>(tensor).unwrap();
        assert!(
            read(&step.y)
                .iter()
                .chain(&read(&step.dx))
                .all(|v| *v == 0.0)
        );
        assert_eq!(read(&step.mean), inputs.running_mean);
        let tracked = device.download::<u32>(&step.tracked).unwrap();
        assert_eq!(tracked, [inputs.tracked]);
    };
    let record = |recorder: &mut Recorder<'_>| {
        step.forward(recorder, &case.options, case.mode, true);
        step.backward(recorder, &case.options, case.mode);
    };
    record(&mut device.recorder());
    untouched();
    let mut encoder = encoder(device);
    record(&mut device.record_into(&mut encoder));
    untouched();
    device.wgpu_queue().submit([encoder.finish()]);
    let want = case.run(device, &inputs);
    let pairs = [
        (&step.y, want.y),
        (&step.dx, want.dx),
        (&step.dgamma, want.dgamma),
        (&step.dbeta, want.dbeta),
        (&step.mean, want.running_mean),
        (&step.var, want.running_var),
    ];
    for (got, want) in pairs {
        assert_eq!(device.download::<f32>(got).unwrap(), want);
    }
}

#[test]
fn the_callers_commands_go_between_a_forward_and_its_backward() {
    let Some(device) = &device() else { return };
    let case = Case::new([8, 6, 20, 20], 1);
    let mut app = App::new(device, case.clone());
    let (step, mut inputs) = app.filled();
    // WebGPU copies only from one buffer to another.
    let outside = device.empty(&case.shape, DType::F32).unwrap();
    let mut encoder = encoder(device);
    step.forward(
        &mut device.record_into(&mut encoder),
        &case.options,
        case.mode,
        true,
    );
    // The gradient is y with its halves changed over.
    let half = step.y.bytes() / 2;
    for (from, to) in [(0, half), (half, 0)] {
        let from = step.y.offset() + from;
        encoder.copy_buffer_to_buffer(&app.arena, from, outside.buffer(), to, Some(half));
    }
    let start = step.dy.offset();
    encoder.copy_buffer_to_buffer(outside.buffer(), 0, &app.arena, start, Some(2 * half));
    step.backward(
        &mut device.record_into(&mut encoder),
        &case.options,
        case.mode,
    );
    device.wgpu_queue().submit([encoder.finish()]);

    let y: Vec<f32> = device.download(&step.y).unwrap();
    let (first, second) = y.split_at(y.len() / 2);
    inputs.dy = [second, first].concat();
    let want = case.expected(&inputs).gradients.dx;
    let error = l2(&device.download::<f32>(&step.dx).unwrap(), &want, &want);
    assert!(error <= 3e-7, "dx is off by {error:e}");
}

#[test]
fn recording_neither_submits_nor_polls() {
    let Some(device) = own_device() else { return };
    let mut app = App::new(&device, Case::new([8, 6, 20, 20], 1));
    let (step, _) = app.filled();
    let (gpu, queue) = (device.wgpu_device(), device.wgpu_queue());
    let (case, arena) = (&app.case, &app.arena);
    let mut work = encoder(&device);
    work.clear_buffer(arena, step.y.offset(), Some(4));
    queue.submit([work.finish()]);
    // wgpu tells of finished work when it is polled, and a submission polls as well.
    let told = Arc::new(AtomicBool::new(false));
    let tell = Arc::clone(&told);
    queue.on_submitted_work_done(move || tell.store(true, Ordering::Relaxed));
    std::thread::sleep(std::time::Duration::from_millis(200));

    let mut encoder = encoder(&device);
    for _ in 0..2 {
        let mut recorder = device.record_into(&mut encoder);
        step.forward(&mut recorder, &case.options, case.mode, true);
        step.backward(&mut recorder, &case.options, case.mode);
    }
    assert!(!told.load(Ordering::Relaxed), "recording has polled");
    gpu.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    assert!(told.load(Ordering::Relaxed), "nobody would have been told");
}

#[test]
fn tensors_start_where_aligned_says() {
    let Some(device) = &device() else { return };
    let mut app = App::new(device, Case::new([4, 4], 1));
    let limits = device.limits();
    let alignment = limits.offset_alignment;
    assert!((32..=256).contains(&alignment) && alignment.is_power_of_two());
    for offset in (0..=4 * alignment).step_by(4) {
        let aligned = limits.aligned(offset);
        assert!(
            aligned >= offset && aligned - offset < alignment,
            "{offset}"
        );
        let arena = app.arena.clone();
        let fits = Tensor::from_buffer(device, arena, offset, [1], DType::F32).is_ok();
        assert_eq!(fits, aligned == offset, "{offset}");
    }
    assert_eq!(limits.aligned(u64::MAX), u64::MAX);
    let (first, second) = (
        app.cut(&Shape::from([3]), DType::F32),
        app.cut(&Shape::from([3]), DType::F32),
    );
    assert_eq!((first.offset(), second.offset()), (0, alignment));
}
