//! Devices with less than the kernels need, with little of it, and without what they would like.

use wgnorm::{DType, Device, Error, Shape, functional, wgpu};

use super::child::quickly;
use super::right::{RIGHT, expect_on_a_new_device};
use crate::bounds;
use crate::case::Case;
use crate::others;

type Spoil = fn(&mut wgpu::Limits);

/// Each limit that the kernels need more of: what is left of it, and the name in the error.
const SPOILT: [(&str, Spoil); 8] = [
    ("max_storage_buffers_per_shader_stage", |limits| {
        // What an old phone has, and wgpu's downlevel defaults.
        limits.max_storage_buffers_per_shader_stage = 4;
    }),
    ("max_storage_buffers_per_shader_stage", |limits| {
        limits.max_storage_buffers_per_shader_stage = 7;
    }),
    ("max_compute_invocations_per_workgroup", |limits| {
        limits.max_compute_invocations_per_workgroup = 128;
    }),
    ("max_compute_workgroup_size_x", |limits| {
        limits.max_compute_workgroup_size_x = 64;
    }),
    ("max_compute_workgroup_storage_size", |limits| {
        limits.max_compute_workgroup_storage_size = 8192;
    }),
    ("max_bindings_per_bind_group", |limits| {
        limits.max_bindings_per_bind_group = 9;
    }),
    ("max_bind_groups", |limits| limits.max_bind_groups = 0),
    ("max_compute_workgroups_per_dimension", |limits| {
        limits.max_compute_workgroups_per_dimension = 0;
    }),
];

fn open(change: impl FnOnce(&mut wgpu::Limits)) -> (wgpu::Device, wgpu::Queue) {
    let features = crate::device().unwrap().wgpu_device().features();
    others::open(features, |descriptor| {
        change(&mut descriptor.required_limits);
    })
    .unwrap()
}

pub(super) fn too_small(repetition: u64) {
    let refused = |(small, queue): (wgpu::Device, wgpu::Queue), limit: &str| {
        let refused = quickly("wrapping a device of small limits", || {
            Device::from_wgpu(small, queue)
        });
        let right = matches!(&refused, Err(Error::Unsupported { name, needed, got })
            if *name == limit && got < needed);
        assert!(right, "{limit}: {refused:?}");
    };
    // One of them each time, so that a device is not made eight times for each repetition.
    let (limit, spoil) = SPOILT[repetition as usize % SPOILT.len()];
    refused(open(spoil), limit);
    let downlevel = open(|limits| *limits = wgpu::Limits::downlevel_defaults());
    refused(downlevel, "max_storage_buffers_per_shader_stage");
    for (limit, spoil) in SPOILT {
        let mut required_limits = wgpu::Limits::downlevel_defaults();
        required_limits.max_storage_buffers_per_shader_stage = 8;
        spoil(&mut required_limits);
        let noop = wgpu::Device::noop(&wgpu::DeviceDescriptor {
            required_limits,
            ..wgpu::DeviceDescriptor::default()
        });
        refused(noop, limit);
    }
    expect_on_a_new_device();
}

pub(super) fn bindings(repetition: u64) {
    // A state of so many channels does not fit the smaller ones.
    let binding = 1024 << (repetition % 4);
    let (small, queue) = open(|limits| limits.max_storage_buffer_binding_size = binding);
    let small = Device::from_wgpu(small, queue).unwrap();
    let many = Shape::from([4, binding as usize / 4]);
    let options = Case::new([4, 4], 1).options;
    let x = small.empty(&many, DType::F32).unwrap();
    quickly("an operation beyond a binding", || {
        let len = functional::state_len(&small, &many, &options);
        let right = matches!(len, Err(Error::TooLarge { needed, limit, .. })
            if limit == binding && needed > limit);
        assert!(right, "{len:?}");
        let mut recorder = small.recorder();
        let state = small.empty([16 * many.numel()], DType::F32).unwrap();
        let forward = functional::Forward {
            state: Some(&state),
            ..functional::Forward::new(&x, &x)
        };
        let mode = wgnorm::Mode::RECOMPUTE;
        let refused = functional::forward(&mut recorder, &forward, &options, mode);
        assert!(
            matches!(refused, Err(Error::TooLarge { .. })),
            "{refused:?}"
        );
        recorder.submit().unwrap();
    });
    // Tensors are cut into windows, whatever their size.
    let case = Case {
        seed: repetition,
        ..Case::new([10, 3, 40 + repetition as usize % 7], 1)
    };
    bounds::check(&small, &case);
    drop((x, small));
    expect_on_a_new_device();
}

pub(super) fn features(repetition: u64) {
    let (bare, queue) = others::open(wgpu::Features::empty(), |_| {}).unwrap();
    let bare = Device::from_wgpu(bare, queue).unwrap();
    assert!(!bare.limits().int64 && bare.limits().subgroups.is_none());
    let shapes = [[6, 5, 40], [40, 5, 1], [3, 4, 7], [5, 2, 300]];
    let case = Case {
        seed: repetition,
        ..Case::new(shapes[repetition as usize % shapes.len()], 1)
    };
    // What they are not there for gives the same accuracy, if not the same bits.
    bounds::check(&bare, &case);
    RIGHT.expect_on(crate::device().unwrap());
    drop(bare);
    expect_on_a_new_device();
}
