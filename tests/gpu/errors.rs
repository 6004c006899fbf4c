//! Every bad input gets its typed error, which names the argument and both numbers, and leaves
//! nothing half-written.

use wgnorm::functional::{self, Backward, Forward, Running};
use wgnorm::{
    BatchNorm, BatchNormOptions, DType, Device, Error, Mode, Momentum, PlanOptions, Shape,
    Statistics, Strategy, Tensor, wgpu,
};

use crate::device;

/// The tensors of a forward and backward over x [4, 3], to be spoilt one at a time.
struct Tensors<'d> {
    device: &'d Device,
    x: Tensor,
    y: Tensor,
    dy: Tensor,
    state: Tensor,
    gamma: Tensor,
    beta: Tensor,
    mean: Tensor,
    var: Tensor,
    tracked: Tensor,
    options: BatchNormOptions,
    mode: Mode,
}

impl<'d> Tensors<'d> {
    fn new(device: &'d Device) -> Self {
        let full = || device.upload(&[1.0f32; 12], [4, 3]).unwrap();
        let channel = || device.upload(&[1.0f32; 3], [3]).unwrap();
        Self {
            device,
            x: full(),
            y: full(),
            dy: full(),
            state: device.upload(&[0.0f32; 64], [64]).unwrap(),
            gamma: channel(),
            beta: channel(),
            mean: channel(),
            var: channel(),
            tracked: device.upload(&[0u32], [1]).unwrap(),
            options: BatchNormOptions::default(),
            mode: Mode::TRAIN,
        }
    }

    fn forward(&self) -> Result<(), Error> {
        let running = Running {
            mean: &self.mean,
            var: &self.var,
            num_batches_tracked: Some(&self.tracked),
        };
        let tensors = Forward {
            x: &self.x,
            y: &self.y,
            state: Some(&self.state),
            gamma: Some(&self.gamma),
            beta: Some(&self.beta),
            running: Some(running),
        };
        let mut recorder = self.device.recorder();
        functional::forward(&mut recorder, &tensors, &self.options, self.mode)?;
        recorder.submit()
    }

    fn backward(&self) -> Result<(), Error> {
        let tensors = Backward {
            x: &self.x,
            dy: &self.dy,
            state: &self.state,
            gamma: Some(&self.gamma),
            dx: Some(&self.y),
            dgamma: Some(&self.mean),
            dbeta: Some(&self.var),
        };
        let mut recorder = self.device.recorder();
        functional::backward(&mut recorder, &tensors, &self.options, Statistics::Batch)?;
        recorder.submit()
    }
}

/// Asserts that the error's message has all of these parts.
fn expect<T>(result: Result<T, Error>, parts: &[&str]) -> Error {
    let Err(error) = result else {
        panic!("expected an error with {parts:?}")
    };
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
    error
}

#[test]
fn what_is_right_is_accepted() {
    let Some(device) = device() else { return };
    let tensors = Tensors::new(device);
    tensors.forward().unwrap();
    tensors.backward().unwrap();
}

#[test]
fn shapes_that_do_not_fit() {
    let Some(device) = device() else { return };
    let upload = |dims: &[usize]| {
        device
            .upload(&vec![1.0f32; dims.iter().product()], dims)
            .unwrap()
    };
    let spoil = |change: &dyn Fn(&mut Tensors<'_>)| {
        let mut tensors = Tensors::new(device);
        change(&mut tensors);
        tensors
    };
    let forward = |change: &dyn Fn(&mut Tensors<'_>)| spoil(change).forward();
    let backward = |change: &dyn Fn(&mut Tensors<'_>)| spoil(change).backward();
    expect(
        forward(&|t| t.x = upload(&[12])),
        &["x", "at least 2 dimensions", "[12]"],
    );
    expect(
        forward(&|t| t.options.channel_axis = 2),
        &["x", "2 is the channel axis", "[4, 3]"],
    );
    expect(
        forward(&|t| t.x = upload(&[4, 0])),
        &["x", "at least 1 channel", "[4, 0]"],
    );
    expect(
        forward(&|t| t.y = upload(&[3, 4])),
        &["y", "[4, 3]", "[3, 4]"],
    );
    expect(
        forward(&|t| t.gamma = upload(&[4])),
        &["gamma", "[3]", "[4]"],
    );
    expect(forward(&|t| t.beta = upload(&[2])), &["beta", "[3]", "[2]"]);
    expect(
        forward(&|t| t.mean = upload(&[1])),
        &["running_mean", "[3]", "[1]"],
    );
    expect(
        forward(&|t| t.var = upload(&[5])),
        &["running_var", "[3]", "[5]"],
    );
    expect(
        forward(&|t| t.state = upload(&[15])),
        &["state", "at least", "[15]"],
    );
    expect(
        backward(&|t| t.dy = upload(&[4, 3, 1])),
        &["dy", "[4, 3]", "[4, 3, 1]"],
    );
    expect(
        backward(&|t| t.y = upload(&[4, 2])),
        &["dx", "[4, 3]", "[4, 2]"],
    );
    expect(
        backward(&|t| t.mean = upload(&[2])),
        &["dgamma", "[3]", "[2]"],
    );
    expect(
        backward(&|t| t.var = upload(&[4])),
        &["dbeta", "[3]", "[4]"],
    );
    expect(device.upload(&[1.0f32; 5], [2, 3]), &["[2, 3]", "6", "5"]);
    let layer = BatchNorm::new(device, 3, BatchNormOptions::default()).unwrap();
    let mut recorder = device.recorder();
    let x = upload(&[2, 4]);
    expect(
        layer.forward_train(&mut recorder, &x),
        &["x", "3 channels", "[2, 4]"],
    );
    expect(
        layer.infer(&mut recorder, &x),
        &["x", "3 channels", "[2, 4]"],
    );
    let [x, other] = [[2, 3], [4, 3]].map(|dims| upload(&dims));
    let (_, saved) = layer.forward_train(&mut recorder, &x).unwrap();
    expect(
        layer.backward(&mut recorder, &other, &other, &saved),
        &["x", "[2, 3]", "[4, 3]"],
    );
    expect(
        BatchNorm::new(device, 0, BatchNormOptions::default()),
        &["channels", "at least 1"],
    );
}

#[test]
fn one_value_per_channel() {
    let Some(device) = device() else { return };
    let mut tensors = Tensors::new(device);
    tensors.x = device.upload(&[1.0f32; 3], [1, 3]).unwrap();
    tensors.y = device.upload(&[1.0f32; 3], [1, 3]).unwrap();
    let message = "expected more than 1 value per channel when training, got input size [1, 3]";
    for mode in [Mode::TRAIN, Mode::RECOMPUTE] {
        tensors.mode = mode;
        let error = expect(tensors.forward(), &[message]);
        assert_eq!(
            error,
            Error::OneValuePerChannel {
                shape: Shape::from([1, 3])
            }
        );
    }
    tensors.mode = Mode::EVAL;
    tensors.forward().unwrap();
    assert_eq!(device.download::<u32>(&tensors.tracked).unwrap(), [0]);
}

#[test]
fn options_out_of_range() {
    let Some(device) = device() else { return };
    let refused = |options: BatchNormOptions, parts: &[&str]| {
        expect(BatchNorm::new(device, 3, options), parts);
        let mut tensors = Tensors::new(device);
        tensors.options = options;
        expect(tensors.forward(), parts);
    };
    let default = BatchNormOptions::default();
    for eps in [0.0, -1e-5, f64::NAN, f64::INFINITY, 1e-60] {
        refused(
            BatchNormOptions { eps, ..default },
            &["eps", &eps.to_string()],
        );
    }
    for weight in [-0.1, 1.1, f64::NAN] {
        let momentum = Momentum::NewWeight(weight);
        refused(
            BatchNormOptions {
                momentum,
                ..default
            },
            &["momentum", &weight.to_string()],
        );
        let momentum = Momentum::OldWeight(weight);
        refused(
            BatchNormOptions {
                momentum,
                ..default
            },
            &["momentum", "old"],
        );
    }
}

#[test]
fn tensors_that_are_missing() {
    let Some(device) = device() else { return };
    let tensors = Tensors::new(device);
    let bare = Forward {
        x: &tensors.x,
        y: &tensors.y,
        state: Some(&tensors.state),
        gamma: None,
        beta: None,
        running: None,
    };
    let record = |forward: Forward<'_>, options: BatchNormOptions, mode| {
        functional::forward(&mut device.recorder(), &forward, &options, mode)
    };
    let default = BatchNormOptions::default();
    expect(
        record(bare, default, Mode::EVAL),
        &["running_mean is missing"],
    );
    expect(
        record(bare, default, Mode::TRAIN),
        &["running_mean is missing"],
    );
    expect(
        record(
            Forward {
                state: None,
                ..bare
            },
            default,
            Mode::RECOMPUTE,
        ),
        &["state is missing"],
    );
    let running = Running {
        mean: &tensors.mean,
        var: &tensors.var,
        num_batches_tracked: None,
    };
    let cumulative = BatchNormOptions {
        momentum: Momentum::Cumulative,
        ..default
    };
    expect(
        record(
            Forward {
                running: Some(running),
                ..bare
            },
            cumulative,
            Mode::TRAIN,
        ),
        &["num_batches_tracked is missing"],
    );
}

#[test]
fn element_types_that_do_not_fit() {
    let Some(device) = device() else { return };
    let mut tensors = Tensors::new(device);
    tensors.x = device.upload(&[half::f16::ONE; 12], [4, 3]).unwrap();
    expect(tensors.forward(), &["x", "f32", "f16"]);
    let mut tensors = Tensors::new(device);
    tensors.tracked = device.upload(&[0.0f32], [1]).unwrap();
    expect(tensors.forward(), &["num_batches_tracked", "u32", "f32"]);
    expect(device.download::<u32>(&tensors.x), &["u32", "f32"]);
}

fn buffer(device: &wgpu::Device, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("the caller's"),
        size,
        usage,
        mapped_at_creation: false,
    })
}

const ALL: wgpu::BufferUsages = wgpu::BufferUsages::STORAGE
    .union(wgpu::BufferUsages::COPY_SRC)
    .union(wgpu::BufferUsages::COPY_DST);

#[test]
fn buffers_of_the_caller_that_do_not_serve() {
    let Some(device) = device() else { return };
    let own = device.wgpu_device();
    let wrap = |buffer: &wgpu::Buffer, offset, shape: [usize; 2]| {
        Tensor::from_buffer(device, buffer.clone(), offset, shape, DType::F32)
    };
    let plain = buffer(own, 1024, ALL);
    expect(wrap(&plain, 0, [16, 17]), &["1088", "offset 0", "1024"]);
    expect(wrap(&plain, 512, [16, 16]), &["1024", "offset 512"]);
    expect(wrap(&plain, u64::MAX - 255, [1, 1]), &["4 bytes", "1024"]);
    let alignment = device.limits().offset_alignment.to_string();
    expect(wrap(&plain, 4, [1, 1]), &["offset 4", &alignment]);
    let copies = buffer(
        own,
        1024,
        wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
    );
    expect(wrap(&copies, 0, [4, 4]), &["STORAGE", "COPY_SRC"]);
    let storage = wrap(&buffer(own, 1024, wgpu::BufferUsages::STORAGE), 0, [4, 4]).unwrap();
    expect(device.download::<f32>(&storage), &["COPY_SRC", "STORAGE"]);
    expect(
        device.write(&storage, &[0.0f32; 16]),
        &["COPY_DST", "STORAGE"],
    );
    let stranger = Device::new().unwrap();
    let foreign = buffer(stranger.wgpu_device(), 1024, ALL);
    assert!(matches!(
        wrap(&foreign, 0, [4, 4]),
        Err(Error::Validation { .. })
    ));
    let destroyed = buffer(own, 1024, ALL);
    destroyed.destroy();
    expect(wrap(&destroyed, 0, [4, 4]), &["buffer", "destroyed"]);
}

#[test]
fn buffers_that_fail_later_are_named_too() {
    let Some(device) = device() else { return };
    let mut tensors = Tensors::new(device);
    let doomed = buffer(device.wgpu_device(), 1024, ALL);
    tensors.x = Tensor::from_buffer(device, doomed.clone(), 0, [4, 3], DType::F32).unwrap();
    doomed.destroy();
    expect(tensors.forward(), &["x: ", "destroyed"]);

    let mut tensors = Tensors::new(device);
    let stranger = Device::new().unwrap();
    tensors.gamma = stranger.upload(&[1.0f32; 3], [3]).unwrap();
    assert_eq!(tensors.forward(), Err(Error::OtherDevice { name: "gamma" }));
    assert!(matches!(
        device.download::<f32>(&tensors.gamma),
        Err(Error::OtherDevice { .. })
    ));

    let mut tensors = Tensors::new(device);
    let mapped = device.wgpu_device().create_buffer(&wgpu::BufferDescriptor {
        label: Some("the mapped one"),
        size: 1024,
        usage: ALL,
        mapped_at_creation: true,
    });
    tensors.x = Tensor::from_buffer(device, mapped.clone(), 0, [4, 3], DType::F32).unwrap();
    expect(
        tensors.forward(),
        &["submitting", "the mapped one", "mapped"],
    );
    mapped.unmap();
    tensors.forward().unwrap();
}

#[test]
fn overlaps_other_than_in_place() {
    let Some(device) = device() else { return };
    let arena = buffer(device.wgpu_device(), 4096, ALL);
    let at = |offset, shape: &[usize]| {
        Tensor::from_buffer(device, arena.clone(), offset, shape, DType::F32).unwrap()
    };
    let mut tensors = Tensors::new(device);
    (tensors.x, tensors.y) = (at(0, &[128, 3]), at(256, &[128, 3]));
    expect(tensors.forward(), &["x", "0..1536", "y", "256..1792"]);
    let mut tensors = Tensors::new(device);
    (tensors.gamma, tensors.beta) = (at(0, &[3]), at(0, &[3]));
    expect(tensors.forward(), &["gamma", "beta", "0..12"]);
    let mut tensors = Tensors::new(device);
    (tensors.x, tensors.state) = (at(0, &[128, 3]), at(1024, &[64]));
    tensors.y = at(2048, &[128, 3]);
    expect(tensors.forward(), &["x", "state"]);
}

#[test]
fn larger_than_the_device_allows() {
    let Some(device) = device() else { return };
    let error = expect(
        device.empty([1 << 20, 1 << 20], DType::F32),
        &["4398046511104"],
    );
    assert!(matches!(error, Error::TooLarge { .. }));
    let huge = Shape::from([usize::MAX, usize::MAX]);
    expect(device.empty(&huge, DType::F32), &["exceeds"]);
    let limit = device.limits().max_binding_bytes;
    let above = Shape::from([usize::try_from(limit / 4).unwrap() + 1, 2]);
    let options = BatchNormOptions::default();
    expect(
        functional::state_len(device, &above, &options),
        &["exceeds", &limit.to_string()],
    );
    expect(functional::state_len(device, &huge, &options), &["exceeds"]);
}

#[test]
fn a_strategy_that_does_not_apply() {
    let Some(device) = device() else { return };
    let mut tensors = Tensors::new(device);
    tensors.x = device.upload(&[1.0f32; 12], [2, 3, 2]).unwrap();
    tensors.y = device.upload(&[1.0f32; 12], [2, 3, 2]).unwrap();
    tensors.options.plan = PlanOptions {
        strategy: Some(Strategy::SplitColumns),
        ..PlanOptions::default()
    };
    expect(tensors.forward(), &["split_columns", "[2, 3, 2]", "axis 1"]);
}

#[test]
fn a_refused_call_has_written_nothing() {
    let Some(device) = device() else { return };
    let mut tensors = Tensors::new(device);
    tensors.beta = device.upload(&[1.0f32; 4], [4]).unwrap();
    let running = Running {
        mean: &tensors.mean,
        var: &tensors.var,
        num_batches_tracked: None,
    };
    let forward = Forward {
        x: &tensors.x,
        y: &tensors.y,
        state: Some(&tensors.state),
        gamma: None,
        beta: Some(&tensors.beta),
        running: Some(running),
    };
    let mut recorder = device.recorder();
    expect(
        functional::forward(&mut recorder, &forward, &tensors.options, Mode::TRAIN),
        &["beta"],
    );
    recorder.submit().unwrap();
    assert_eq!(device.download::<f32>(&tensors.y).unwrap(), [1.0; 12]);
    assert_eq!(device.download::<f32>(&tensors.state).unwrap(), [0.0; 64]);
    assert_eq!(device.download::<f32>(&tensors.mean).unwrap(), [1.0; 3]);
}

#[test]
fn a_device_with_small_limits_is_refused() {
    let (small, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor {
        required_limits: wgpu::Limits {
            max_storage_buffers_per_shader_stage: 4,
            ..wgpu::Limits::downlevel_defaults()
        },
        ..wgpu::DeviceDescriptor::default()
    });
    let error = expect(
        Device::from_wgpu(small, queue),
        &["max_storage_buffers", "8", "4"],
    );
    assert!(matches!(error, Error::Unsupported { .. }));
}

#[test]
fn a_lost_device_says_so_and_a_new_one_works() {
    if device().is_none() {
        return;
    }
    let own = Device::new().unwrap();
    // The second has no callback of ours that could tell.
    let borrowed = {
        let other = Device::new().unwrap();
        Device::from_wgpu(other.wgpu_device().clone(), other.wgpu_queue().clone()).unwrap()
    };
    for device in [own, borrowed] {
        let tensors = Tensors::new(&device);
        tensors.forward().unwrap();
        device.wgpu_device().destroy();
        let lost = |result: Result<(), Error>| {
            assert!(
                matches!(result, Ok(()) | Err(Error::DeviceLost { .. })),
                "{result:?}"
            );
        };
        lost(tensors.forward());
        let downloaded = device.download::<f32>(&tensors.y);
        assert!(
            matches!(downloaded, Err(Error::DeviceLost { .. })),
            "{downloaded:?}"
        );
    }
    let again = Device::new().unwrap();
    Tensors::new(&again).forward().unwrap();
}
