//! Buffers that do not serve: too small, misaligned, of another device, gone or overlapping.

use wgnorm::{DType, Device, Error, Tensor, wgpu};

use crate::device;
use crate::spoilt::{Tensors, expect};

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
    let Some(device) = &device() else { return };
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
    let Some(device) = &device() else { return };
    let mut tensors = Tensors::new(device);
    let doomed = buffer(device.wgpu_device(), 1024, ALL);
    tensors.x = Tensor::from_buffer(device, doomed.clone(), 0, [4, 3], DType::F32).unwrap();
    doomed.destroy();
    expect(tensors.forward(), &["x: ", "destroyed"]);

    let mut tensors = Tensors::new(device);
    let doomed = buffer(device.wgpu_device(), 1024, ALL);
    tensors.tracked = Tensor::from_buffer(device, doomed.clone(), 0, [1], DType::U32).unwrap();
    doomed.destroy();
    expect(tensors.forward(), &["num_batches_tracked: ", "destroyed"]);

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
    assert_eq!(tensors.forward(), Err(Error::Mapped { name: "x" }));
    let named = Error::Mapped { name: "tensor" };
    assert_eq!(device.download::<f32>(&tensors.x), Err(named.clone()));
    assert_eq!(device.write(&tensors.x, &[0.0f32; 12]), Err(named));
    mapped.unmap();
    tensors.forward().unwrap();
}

#[test]
fn overlaps_other_than_in_place() {
    let Some(device) = &device() else { return };
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
fn a_forward_is_recorded_whole_or_not_at_all() {
    let Some(device) = &device() else { return };
    let mut tensors = Tensors::new(device);
    let doomed = buffer(device.wgpu_device(), 1024, ALL);
    // The first dispatch does not need gamma, but the second one does.
    tensors.gamma = Tensor::from_buffer(device, doomed.clone(), 0, [3], DType::F32).unwrap();
    doomed.destroy();
    let mut recorder = device.recorder();
    expect(
        tensors.record_forward(&mut recorder),
        &["gamma", "destroyed"],
    );
    recorder.submit().unwrap();
    assert_eq!(device.download::<u32>(&tensors.tracked).unwrap(), [0]);
    assert_eq!(device.download::<f32>(&tensors.state).unwrap(), [0.0; 64]);

    let mut tensors = Tensors::new(device);
    let empty = || device.empty([0, 3], DType::F32).unwrap();
    (tensors.x, tensors.dy, tensors.y) = (empty(), empty(), empty());
    let storage = buffer(device.wgpu_device(), 1024, wgpu::BufferUsages::STORAGE);
    tensors.var = Tensor::from_buffer(device, storage, 0, [3], DType::F32).unwrap();
    expect(tensors.backward(), &["dbeta", "COPY_DST"]);
    assert_eq!(device.download::<f32>(&tensors.mean).unwrap(), [1.0; 3]);
}

#[test]
fn empty_tensors_overlap_nothing() {
    let Some(device) = &device() else { return };
    let arena = buffer(device.wgpu_device(), 4096, ALL);
    let at = |offset, shape: &[usize]| {
        Tensor::from_buffer(device, arena.clone(), offset, shape, DType::F32).unwrap()
    };
    let mut tensors = Tensors::new(device);
    (tensors.x, tensors.y, tensors.state) = (at(256, &[0, 3]), at(512, &[0, 3]), at(0, &[256]));
    tensors.forward().unwrap();
}

#[test]
fn memory_that_was_shared_is_not_used_again() {
    let Some(device) = &device() else { return };
    let tensor = device.upload(&[1.0f32; 333], [333]).unwrap();
    let view = tensor.reshape([9, 37]).unwrap();
    let (buffer, offset) = (tensor.buffer().clone(), tensor.offset());
    let alias = Tensor::from_buffer(device, buffer, offset, [37, 9], DType::F32).unwrap();
    drop(tensor);
    drop(view);
    let _other = device.upload(&[7.0f32; 333], [333]).unwrap();
    assert_eq!(device.download::<f32>(&alias).unwrap(), [1.0; 333]);
    expect(alias.reshape([5, 66]), &["333", "[5, 66]"]);
}
