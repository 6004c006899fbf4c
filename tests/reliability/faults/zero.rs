//! Tensors without an element, and norms without a channel, a row or a value.

use wgnorm::functional::{self, Backward, Forward, Running};
use wgnorm::{
    BatchNorm, BatchNormOptions, BatchRenorm, BatchRenormOptions, DType, Device, Error,
    GhostBatchNorm, GhostBatchNormOptions, GroupNorm, GroupNormOptions, InstanceNorm,
    InstanceNormOptions, LayerNorm, LayerNormOptions, Mode, Recorder, RmsNorm, RmsNormOptions,
    SpectralNorm, SpectralNormOptions, Statistics, Tensor, WeightNorm, WeightNormOptions, wgpu,
};

use super::child::quickly;
use super::right::{RIGHT, either_again, expect_on_a_new_device};

pub(super) fn sizes(repetition: u64) {
    let device = either_again(repetition);
    RIGHT.expect_on(device);
    quickly("tensors without elements", || tensors(device));
    for shape in [[0, 3, 5], [4, 3, 0], [0, 3, 0]] {
        quickly("a batch without elements", || batch(device, shape));
    }
    quickly("layers without elements", || layers(device));
    quickly("norms of nothing", || refusals(device));
    RIGHT.expect_on(device);
    expect_on_a_new_device();
}

fn empty(device: &Device, shape: &[usize]) -> Tensor {
    device.empty(shape, DType::F32).unwrap()
}

fn tensors(device: &Device) {
    let none = device.upload::<f32>(&[], [0, 7]).unwrap();
    assert!(device.download::<f32>(&none).unwrap().is_empty());
    let download = pollster::block_on(device.download_async::<f32>(&none));
    assert!(download.unwrap().is_empty());
    device.write::<f32>(&none, &[]).unwrap();
    none.reshape([3, 0, 9]).unwrap();
    for size in [0, 256] {
        let buffer = device.wgpu_device().create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        // From the start, and from the very end.
        for offset in [0, size] {
            let buffer = buffer.clone();
            let none = Tensor::from_buffer(device, buffer, offset, [0, 3], DType::F32).unwrap();
            assert!(device.download::<f32>(&none).unwrap().is_empty());
        }
    }
    let scalar = device.upload(&[7.0f32], &[][..]).unwrap();
    assert_eq!(device.download::<f32>(&scalar).unwrap(), [7.0]);
}

/// Empty batches give gradients of zero and leave the running statistics alone.
fn batch(device: &Device, shape: [usize; 3]) {
    let options = BatchNormOptions::default();
    let [x, y, dy, dx] = [(); 4].map(|()| empty(device, &shape));
    let len = functional::state_len(device, &shape.into(), &options).unwrap();
    let state = device.upload(&vec![f32::NAN; len], [len]).unwrap();
    let channel = |value: f32| device.upload(&[value; 3], [3]).unwrap();
    let [gamma, mean, var, dgamma, dbeta] = [2.0, 3.0, 4.0, f32::NAN, f32::NAN].map(channel);
    let tracked = device.upload(&[5u32], [1]).unwrap();
    let forward = Forward {
        state: Some(&state),
        gamma: Some(&gamma),
        running: Some(Running {
            mean: &mean,
            var: &var,
            num_batches_tracked: Some(&tracked),
        }),
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
    for mode in [Mode::TRAIN, Mode::EVAL, Mode::RECOMPUTE] {
        functional::forward(&mut recorder, &forward, &options, mode).unwrap();
    }
    functional::backward(&mut recorder, &backward, &options, Statistics::Batch).unwrap();
    recorder.submit().unwrap();
    let expect = |tensor: &Tensor, value: f32| {
        assert_eq!(device.download::<f32>(tensor).unwrap(), [value; 3]);
    };
    expect(&mean, 3.0);
    expect(&var, 4.0);
    expect(&dgamma, 0.0);
    expect(&dbeta, 0.0);
    assert_eq!(device.download::<u32>(&tracked).unwrap(), [5]);
}

/// A forward, a backward and inference of what is empty.
macro_rules! step {
    ($device:expr, $layer:expr, $shape:expr) => {{
        let x = empty($device, &$shape);
        let mut recorder = $device.recorder();
        let (y, saved) = $layer.forward_train(&mut recorder, &x).unwrap();
        $layer.backward(&mut recorder, &x, &y, &saved).unwrap();
        $layer.infer(&mut recorder, &x).unwrap();
        recorder.submit().unwrap();
        assert!($device.download::<f32>(&y).unwrap().is_empty());
    }};
}

fn layers(device: &Device) {
    let batch = BatchNorm::new(device, 3, BatchNormOptions::default()).unwrap();
    step!(device, batch, [0, 3, 5]);
    let renorm = BatchRenorm::new(device, 3, BatchRenormOptions::default()).unwrap();
    step!(device, renorm, [0, 3, 5]);
    let layer = LayerNorm::new(device, [5], LayerNormOptions::default()).unwrap();
    step!(device, layer, [0, 5]);
    let rms = RmsNorm::new(device, [5], RmsNormOptions::default()).unwrap();
    step!(device, rms, [3, 0, 5]);
    let groups = GroupNormOptions {
        groups: 3,
        ..GroupNormOptions::default()
    };
    step!(
        device,
        GroupNorm::new(device, 6, groups).unwrap(),
        [0, 6, 5]
    );
    let instance = InstanceNorm::new(6, InstanceNormOptions::default()).unwrap();
    step!(device, instance, [0, 6, 5]);
    let ghost = GhostBatchNormOptions {
        samples: 4,
        ..GhostBatchNormOptions::default()
    };
    step!(
        device,
        GhostBatchNorm::new(device, 3, ghost).unwrap(),
        [0, 3, 5]
    );
}

/// What has no channel, no row or no value is refused in words, and leaves its recorder as it was.
fn refusals(device: &Device) {
    let shape = |result: Result<(), Error>, what: &str| {
        assert!(
            matches!(result, Err(Error::Shape { .. })),
            "{what}: {result:?}"
        );
    };
    let mut recorder = device.recorder();
    let options = BatchNormOptions::default();
    let any = |result: Result<(), Error>, what: &str| {
        let Err(error) = result else {
            panic!("{what} was made");
        };
        let typed = matches!(error, Error::Shape { .. } | Error::Option { .. });
        assert!(typed, "{what}: {error:?}");
    };
    any(
        BatchNorm::new(device, 0, options).map(|_| ()),
        "no channels",
    );
    let layer = LayerNorm::new(device, [0], LayerNormOptions::default());
    any(layer.map(|_| ()), "rows of nothing");
    let layer = LayerNorm::new(device, &[][..], LayerNormOptions::default());
    any(layer.map(|_| ()), "rows of no dimension");
    let rms = RmsNorm::new(device, [3, 0], RmsNormOptions::default());
    any(rms.map(|_| ()), "rows of nothing");
    let groups = GroupNormOptions {
        groups: 0,
        ..GroupNormOptions::default()
    };
    any(GroupNorm::new(device, 6, groups).map(|_| ()), "no groups");
    any(
        InstanceNorm::new(0, InstanceNormOptions::default()).map(|_| ()),
        "no channels",
    );
    let length = WeightNorm::new(device, &[], [0, 3], WeightNormOptions::default());
    any(length.map(|_| ()), "no slices");
    let ghost = GhostBatchNormOptions {
        samples: 0,
        ..GhostBatchNormOptions::default()
    };
    any(
        GhostBatchNorm::new(device, 3, ghost).map(|_| ()),
        "no samples",
    );
    let weigh = |recorder: &mut Recorder<'_>, dims: &[usize]| {
        let weight = empty(device, dims);
        let made = SpectralNorm::new(recorder, &weight, SpectralNormOptions::default());
        any(made.map(|_| ()), "a weight of nothing");
    };
    weigh(&mut recorder, &[0, 3]);
    weigh(&mut recorder, &[3, 0]);

    let batch = BatchNorm::new(device, 3, options).unwrap();
    for dims in [&[0][..], &[], &[4, 0], &[4, 0, 3], &[0, 0]] {
        let x = empty(device, dims);
        shape(
            batch.forward_train(&mut recorder, &x).map(|_| ()),
            "no channel",
        );
        shape(batch.infer(&mut recorder, &x).map(|_| ()), "no channel");
    }
    let one = empty(device, &[1, 3, 1]);
    let refused = batch.forward_train(&mut recorder, &one).map(|_| ());
    assert!(
        matches!(refused, Err(Error::OneValuePerChannel { .. })),
        "{refused:?}"
    );
    recorder.submit().unwrap();
    let state = batch.state(device).unwrap().running.unwrap();
    assert_eq!(state.num_batches_tracked, Some(0));
    assert_eq!(state.mean, [0.0; 3]);
}
