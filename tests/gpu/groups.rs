//! Bind groups that are kept for the next time: which are found, and when they go.

use wgnorm::{BatchNorm, BatchNormOptions, DType, Device, Error, Mode, Tensor, wgpu};

use crate::device;
use crate::others::MAPS_STORAGE;
use crate::spoilt::{Tensors, expect};

const ALL: wgpu::BufferUsages = wgpu::BufferUsages::STORAGE
    .union(wgpu::BufferUsages::COPY_SRC)
    .union(wgpu::BufferUsages::COPY_DST);

fn buffer(device: &Device, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    let descriptor = wgpu::BufferDescriptor {
        label: Some("the caller's"),
        size,
        usage,
        mapped_at_creation: false,
    };
    device.wgpu_device().create_buffer(&descriptor)
}

fn wrap(device: &Device, buffer: &wgpu::Buffer, offset: u64, values: &[f32]) -> Tensor {
    let shape = [values.len() / 3, 3];
    let tensor = Tensor::from_buffer(device, buffer.clone(), offset, shape, DType::F32).unwrap();
    device.write(&tensor, values).unwrap();
    tensor
}

/// The bind groups and buffers that are alive once all work is done.
fn alive(device: &Device) -> [isize; 2] {
    let done = wgpu::PollType::wait_indefinitely();
    device.wgpu_device().poll(done).unwrap();
    let hal = device.wgpu_device().get_internal_counters().hal;
    [hal.bind_groups.read(), hal.buffers.read()]
}

/// A device of its own, whose counters no other test moves.
fn own_device() -> Option<Device> {
    device().map(|_| Device::new().unwrap())
}

fn layer(device: &Device, gamma: f32) -> BatchNorm {
    let layer = BatchNorm::new(device, 3, BatchNormOptions::default()).unwrap();
    device.write(layer.gamma().unwrap(), &[gamma; 3]).unwrap();
    layer
}

/// Inference of a new layer divides by this.
fn expect_scaled(got: &[f32], x: &[f32], gamma: f32) {
    let scale = gamma / (1.0f32 + 1e-5).sqrt();
    for (got, x) in got.iter().zip(x) {
        let expected = x * scale;
        assert!(
            (got - expected).abs() <= 1e-6 * expected.abs(),
            "{got} is not {expected}"
        );
    }
}

#[test]
fn a_warm_step_makes_no_bind_group() {
    let Some(device) = own_device() else { return };
    // The first is resident, and the second takes two dispatches forward and two backward.
    let shapes = [[8, 3, 14, 14], [64, 3, 28, 28]];
    let layers = [1.0, 2.0].map(|gamma| layer(&device, gamma));
    for step in 0..12 {
        let made = |recorded: isize| {
            assert!(
                step < 4 || recorded == 0,
                "{recorded} were made in step {step}"
            );
        };
        for shape in shapes {
            for layer in &layers {
                let [x, dy] = [(); 2].map(|()| device.empty(shape, DType::F32).unwrap());
                let [before, _] = alive(&device);
                let mut recorder = device.recorder();
                let (y, saved) = layer.forward_train(&mut recorder, &x).unwrap();
                let gradients = layer.backward(&mut recorder, &x, &dy, &saved).unwrap();
                let hal = device.wgpu_device().get_internal_counters().hal;
                made(hal.bind_groups.read() - before);
                recorder.submit().unwrap();
                // What comes back in another order than while warming up is taken in the same.
                let mut tensors = vec![x, dy, y, gradients.dx];
                tensors.rotate_left(if step < 4 { 0 } else { step % 3 + 1 });
                tensors.into_iter().for_each(drop);
            }
        }
    }
}

#[test]
fn the_callers_buffers_are_found_again_by_what_they_hold() {
    let Some(device) = &device() else { return };
    let layers = [1.0, -2.0].map(|gamma| layer(device, gamma));
    let infer = |layer: &BatchNorm, x: &Tensor| {
        let mut recorder = device.recorder();
        let y = layer.infer(&mut recorder, x).unwrap();
        recorder.submit().unwrap();
        device.download::<f32>(&y).unwrap()
    };
    for round in 0..20u8 {
        // A buffer of the size of the one that has just gone, in two places and two lengths.
        let both = buffer(device, 1024, ALL);
        let values: Vec<f32> = (1..=24u8)
            .map(|i| f32::from(i) + 100.0 * f32::from(round))
            .collect();
        let tensors = [(0, 0..12), (512, 6..18), (512, 6..24)];
        let tensors = tensors.map(|(offset, range)| {
            let values = &values[range];
            (wrap(device, &both, offset, values), values)
        });
        for _ in 0..2 {
            for (x, values) in &tensors {
                expect_scaled(&infer(&layers[0], x), values, 1.0);
                expect_scaled(&infer(&layers[1], x), values, -2.0);
            }
        }
        for (x, values) in &tensors[..2] {
            let mut recorder = device.recorder();
            layers[1].infer_in_place(&mut recorder, x).unwrap();
            recorder.submit().unwrap();
            expect_scaled(&device.download::<f32>(x).unwrap(), values, -2.0);
        }
    }
}

#[test]
fn a_tensor_in_the_memory_of_another_has_its_own_values() {
    let Some(device) = own_device() else { return };
    let layer = layer(&device, 3.0);
    for round in 0..10u8 {
        let values = [f32::from(round) + 1.0; 12];
        let x = device.upload(&values, [4, 3]).unwrap();
        let mut recorder = device.recorder();
        let y = layer.infer(&mut recorder, &x).unwrap();
        recorder.submit().unwrap();
        drop(x);
        expect_scaled(&device.download::<f32>(&y).unwrap(), &values, 3.0);
        if round % 4 == 3 {
            // The pool's buffers go, and what comes next is a new one.
            drop(y);
            device.release_pooled_memory();
        }
    }
}

#[test]
fn options_that_change_are_not_mistaken_for_those_before() {
    let Some(device) = &device() else { return };
    let mut tensors = Tensors::new(device);
    tensors.mode = Mode::EVAL;
    device.write(&tensors.x, &[2.0f32; 12]).unwrap();
    // Mean, variance, gamma and beta are 1.
    for (eps, expected) in [(1e-9, 2.0), (3.0, 1.5), (1e-9, 2.0f32)] {
        tensors.options.eps = eps;
        tensors.forward().unwrap();
        for y in device.download::<f32>(&tensors.y).unwrap() {
            assert!((y - expected).abs() < 1e-6, "{y} is not {expected}");
        }
    }
}

#[test]
fn buffers_that_go_take_their_bind_groups_along() {
    let Some(device) = own_device() else { return };
    let layer = layer(&device, 1.0);
    let values = [1.0f32; 12];
    let run = |x: &Tensor| {
        let mut recorder = device.recorder();
        layer.infer_in_place(&mut recorder, x).unwrap();
        recorder.submit().unwrap();
    };
    let pooled = device.upload(&values, [4, 3]).unwrap();
    run(&pooled);
    let before = alive(&device);
    let with = |more: isize| [before[0] + more, before[1] + more];
    for _ in 0..10 {
        let own = buffer(&device, 256, ALL);
        let x = wrap(&device, &own, 0, &values);
        let asked_for = device.upload(&values, [4, 3]).unwrap();
        assert!(asked_for.buffer().size() >= 48);
        for _ in 0..2 {
            run(&x);
            run(&asked_for);
        }
        assert_eq!(alive(&device), with(2));
        drop((x, asked_for));
        // The caller still has that one buffer, but there is nothing left to be bound.
        assert_eq!(alive(&device), [before[0], before[1] + 1]);
        drop(own);
        assert_eq!(alive(&device), before);
    }
    drop(pooled);
    assert_eq!(
        alive(&device),
        before,
        "the pool keeps the buffer and its group"
    );
    device.release_pooled_memory();
    assert_eq!(alive(&device), [before[0] - 1, before[1] - 1]);
}

#[test]
fn bind_groups_are_bounded_in_number() {
    let Some(device) = own_device() else { return };
    let layer = layer(&device, 1.0);
    let before = alive(&device);
    let all = buffer(&device, 5000 * 256, ALL);
    let mut tensors = Vec::new();
    let mut most = 0;
    for part in 0..10 {
        let mut recorder = device.recorder();
        for i in 0..500 {
            let offset = (part * 500 + i) * 256;
            let x = Tensor::from_buffer(&device, all.clone(), offset, [4, 3], DType::F32).unwrap();
            layer.infer_in_place(&mut recorder, &x).unwrap();
            tensors.push(x);
        }
        drop(recorder);
        most = most.max(alive(&device)[0] - before[0]);
    }
    assert!((3000..=4096).contains(&most), "{most} bind groups");
    drop(tensors);
    assert_eq!(alive(&device)[0], before[0]);
}

#[test]
fn a_buffer_that_is_destroyed_after_it_was_bound_is_named() {
    let Some(device) = &device() else { return };
    let mut tensors = Tensors::new(device);
    let doomed = buffer(device, 1024, ALL);
    tensors.x = Tensor::from_buffer(device, doomed.clone(), 0, [4, 3], DType::F32).unwrap();
    tensors.forward().unwrap();
    doomed.destroy();
    let error = expect(tensors.forward(), &["the caller's", "destroyed"]);
    assert!(matches!(error, Error::Validation { .. }), "{error}");
    expect(tensors.forward(), &["x: ", "destroyed"]);
    assert_eq!(device.download::<u32>(&tensors.tracked).unwrap(), [1]);
}

/// Memory that CPU and GPU share can be mapped again and again, also after it was bound.
#[test]
fn a_buffer_that_is_mapped_after_it_was_bound_is_named() {
    let Some(device) = &MAPS_STORAGE.get() else {
        return;
    };
    let mut tensors = Tensors::new(device);
    let mapped = buffer(device, 256, ALL | wgpu::BufferUsages::MAP_READ);
    tensors.x = Tensor::from_buffer(device, mapped.clone(), 0, [4, 3], DType::F32).unwrap();
    for _ in 0..2 {
        tensors.forward().unwrap();
        mapped.map_async(wgpu::MapMode::Read, .., |mapped| mapped.unwrap());
        alive(device);
        assert_eq!(tensors.forward(), Err(Error::Mapped { name: "x" }));
        mapped.unmap();
    }
}
