//! Shapes whose elements or bytes no number holds, or no device.

use wgnorm::{
    BatchNorm, BatchNormOptions, BatchRenorm, BatchRenormOptions, DType, Device, Error,
    GhostBatchNorm, GhostBatchNormOptions, GroupNorm, GroupNormOptions, InstanceNorm,
    InstanceNormOptions, LayerNorm, LayerNormOptions, RmsNorm, RmsNormOptions, Shape, Tensor,
    WeightNorm, WeightNormOptions, functional, wgpu,
};

use super::child::quickly;
use super::right::{RIGHT, either_again, expect_on_a_new_device};

const MAX: usize = usize::MAX;

/// Elements, bytes, their sum, their product with a statistic: each overflows somewhere.
fn huge() -> Vec<Shape> {
    let half = 1 << (usize::BITS / 2);
    let dims: [&[usize]; 14] = [
        &[MAX, 2],
        &[2, MAX],
        &[MAX, MAX],
        &[MAX, 1],
        &[1, MAX],
        &[MAX / 2, 2, 2],
        &[MAX / 4, 4],
        &[MAX / 4, 3],
        &[MAX / 8 + 1, 2],
        &[half, half],
        &[half, half - 1, 3],
        &[half / 4, 2, half],
        &[3, half, half, half],
        &[1 << 20, 1 << 20, 64],
    ];
    dims.map(Shape::from).into()
}

pub(super) fn overflow(repetition: u64) {
    let device = either_again(repetition);
    RIGHT.expect_on(device);
    for shape in huge() {
        quickly("tensors of a huge shape", || tensors(device, &shape));
        quickly("plans of a huge shape", || plans(device, &shape));
    }
    quickly("layers of huge shapes", || layers(device));
    RIGHT.expect_on(device);
    expect_on_a_new_device();
}

fn too_large<T>(result: Result<T, Error>, what: &str) {
    match result {
        Err(Error::TooLarge { needed, limit, .. }) => assert!(needed > limit, "{what}"),
        Err(error) => panic!("{what}: {error:?}"),
        Ok(_) => panic!("{what} was accepted"),
    }
}

fn tensors(device: &Device, shape: &Shape) {
    for dtype in [DType::F32, DType::F16, DType::Bf16, DType::U32] {
        too_large(device.empty(shape, dtype), &format!("{shape}"));
    }
    let refused = device.upload(&[1.0f32; 4], shape);
    assert!(matches!(refused, Err(Error::Length { .. })), "{refused:?}");
    let small = device.upload(&[1.0f32; 4], [4]).unwrap();
    let refused = small.reshape(shape);
    assert!(matches!(refused, Err(Error::Shape { .. })), "{refused:?}");
    let buffer = device.wgpu_device().create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 1024,
        usage: wgpu::BufferUsages::STORAGE,
        mapped_at_creation: false,
    });
    for offset in [0, 256, u64::MAX - 255] {
        let refused = Tensor::from_buffer(device, buffer.clone(), offset, shape, DType::F32);
        assert!(
            matches!(refused, Err(Error::BufferTooSmall { .. })),
            "{refused:?}"
        );
    }
}

/// The planner answers with numbers that hold or with a refusal, and never runs long.
fn plans(device: &Device, shape: &Shape) {
    let refused = |result: Result<usize, Error>, what: &str| {
        let typed = matches!(
            result,
            Err(Error::TooLarge { .. } | Error::Shape { .. } | Error::Option { .. })
        );
        assert!(typed, "{what} of {shape}: {result:?}");
    };
    let batch = BatchNormOptions::default();
    let (layer, rms) = (LayerNormOptions::default(), RmsNormOptions::default());
    let instance = InstanceNormOptions::default();
    let (renorm, weight) = (BatchRenormOptions::default(), WeightNormOptions::default());
    let groups = GroupNormOptions {
        groups: 2,
        ..GroupNormOptions::default()
    };
    refused(functional::state_len(device, shape, &batch), "batch norm");
    refused(functional::masked_state_len(device, shape, &batch), "masks");
    refused(functional::state_len(device, shape, &layer), "layer norm");
    refused(functional::state_len(device, shape, &rms), "RMS norm");
    refused(
        functional::state_len(device, shape, &instance),
        "instance norm",
    );
    refused(functional::state_len(device, shape, &groups), "group norm");
    refused(functional::state_len(device, shape, &renorm), "renorm");
    refused(functional::state_len(device, shape, &weight), "weight norm");
}

fn layers(device: &Device) {
    for huge in [MAX, MAX / 2, MAX / 4, MAX / 4 + 1, 1 << 40] {
        let what = format!("{huge} channels");
        too_large(
            BatchNorm::new(device, huge, BatchNormOptions::default()),
            &what,
        );
        too_large(
            BatchRenorm::new(device, huge, BatchRenormOptions::default()),
            &what,
        );
        too_large(
            LayerNorm::new(device, [huge], LayerNormOptions::default()),
            &what,
        );
        too_large(
            LayerNorm::new(device, [huge, 3], LayerNormOptions::default()),
            &what,
        );
        too_large(
            RmsNorm::new(device, [huge, huge], RmsNormOptions::default()),
            &what,
        );
        let groups = GroupNormOptions {
            groups: huge,
            ..GroupNormOptions::default()
        };
        too_large(GroupNorm::new(device, huge, groups), &what);
        let instance = InstanceNorm::new(huge, InstanceNormOptions::default());
        let instance = instance.and_then(|instance| instance.with_running_statistics(device));
        too_large(instance, &what);
        let length = WeightNorm::new(device, &[1.0], [huge, 2], WeightNormOptions::default());
        assert!(matches!(length, Err(Error::Length { .. })), "{length:?}");
        let ghost = GhostBatchNormOptions {
            samples: huge,
            ..GhostBatchNormOptions::default()
        };
        let ghost = GhostBatchNorm::new(device, 3, ghost).unwrap();
        let x = device.upload(&[1.0f32; 60], [4, 3, 5]).unwrap();
        let mut recorder = device.recorder();
        let refused = ghost.forward_train(&mut recorder, &x).map(|_| ());
        let typed = matches!(
            refused,
            Err(Error::Shape { .. } | Error::Option { .. } | Error::TooLarge { .. })
        );
        assert!(typed, "sub-batches of {huge}: {refused:?}");
        for axis in [1, MAX] {
            let options = BatchNormOptions {
                channel_axis: axis,
                ..BatchNormOptions::default()
            };
            let outside = functional::state_len(device, &Shape::from([4]), &options);
            assert!(matches!(outside, Err(Error::Shape { .. })), "{outside:?}");
        }
        let rows = LayerNormOptions {
            normalized_dims: huge,
            ..LayerNormOptions::default()
        };
        let outside = functional::state_len(device, x.shape(), &rows);
        assert!(matches!(outside, Err(Error::Shape { .. })), "{outside:?}");
    }
}
