//! Devices that are too small for something, or gone.

use wgnorm::{
    BatchNorm, BatchNormOptions, BatchRenormOptions, DType, Device, Error, Shape, functional, wgpu,
};

use crate::device;
use crate::spoilt::{Tensors, expect};

#[test]
fn larger_than_the_device_allows() {
    let Some(device) = &device() else { return };
    let error = expect(
        device.empty([1 << 20, 1 << 20], DType::F32),
        &["4398046511104"],
    );
    assert!(matches!(error, Error::TooLarge { .. }));
    let huge = Shape::from([usize::MAX, usize::MAX]);
    expect(device.empty(&huge, DType::F32), &["exceeds"]);
    let limit = device.limits().max_buffer_bytes;
    let above = Shape::from([usize::try_from(limit / 4).unwrap() + 1]);
    expect(
        device.empty(&above, DType::F32),
        &[&(limit / 4 * 4 + 4).to_string(), &limit.to_string()],
    );
    let options = BatchNormOptions::default();
    expect(functional::state_len(device, &huge, &options), &["exceeds"]);
    // The tensor may outgrow one binding, but the statistics of its channels may not, and with few
    // values for each they outgrow the tensor.
    let limit = device.limits().max_binding_bytes;
    let many = usize::try_from(limit / 16).unwrap();
    let error = expect(
        functional::state_len(device, &Shape::from([2, many]), &options),
        &["bytes of the state", "exceeds", &limit.to_string()],
    );
    let Error::TooLarge { needed, .. } = error else {
        panic!("{error}");
    };
    assert!(needed > limit && error.to_string().contains(&needed.to_string()));
    let above = Shape::from([usize::try_from(limit / 4).unwrap() + 1, 2]);
    functional::state_len(device, &above, &options).unwrap();
    let empty = Shape::from([0, usize::MAX]);
    expect(
        functional::state_len(device, &empty, &options),
        &["exceeds"],
    );
    expect(BatchNorm::new(device, usize::MAX, options), &["exceeds"]);
    // Twice as many vectors as statistics.
    let shape = Shape::from([2, usize::MAX / 2 + 1]);
    let renorm = BatchRenormOptions::default();
    expect(functional::state_len(device, &shape, &renorm), &["exceeds"]);
}

#[test]
fn a_budget_of_memory_is_kept() {
    if device().is_none() {
        return;
    }
    let device = Device::new().unwrap();
    assert_eq!(device.memory_in_use(), 0);
    device.set_memory_budget(Some(4096));
    let [first, second] = [(); 2].map(|()| device.empty([512], DType::F32).unwrap());
    let refused = expect(
        device.empty([1], DType::F32),
        &["wgnorm.tensor", "256 bytes"],
    );
    assert!(matches!(refused, Error::OutOfMemory { needed: 256, .. }));
    expect(
        device.download::<f32>(&first),
        &["wgnorm.readback", "2048 bytes"],
    );
    // What waits for the next tensor goes where another one needs the memory.
    drop(second);
    assert_eq!(device.memory_in_use(), 4096);
    let third = device.empty([300], DType::F32).unwrap();
    assert_eq!(device.memory_in_use(), 2048 + 1280);
    // Less than there is already keeps that, and clones have the same.
    device.clone().set_memory_budget(Some(0));
    expect(device.empty([1], DType::F32), &["out of memory"]);
    device.set_memory_budget(None);
    device.write(&third, &[1.0f32; 300]).unwrap();
    assert_eq!(device.download::<f32>(&third).unwrap(), [1.0; 300]);
    drop((first, third));
    device.release_pooled_memory();
    assert_eq!(device.memory_in_use(), 0);
}

#[test]
fn a_device_with_small_limits_is_refused() {
    let refused = |change: &dyn Fn(&mut wgpu::Limits), parts: &[&str]| {
        let mut required_limits = wgpu::Limits::downlevel_defaults();
        required_limits.max_storage_buffers_per_shader_stage = 8;
        change(&mut required_limits);
        let (small, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor {
            required_limits,
            ..wgpu::DeviceDescriptor::default()
        });
        let error = expect(Device::from_wgpu(small, queue), parts);
        assert!(matches!(error, Error::Unsupported { .. }));
    };
    refused(
        &|limits| limits.max_storage_buffers_per_shader_stage = 4,
        &["max_storage_buffers", "8", "4"],
    );
    refused(
        &|limits| limits.max_bindings_per_bind_group = 6,
        &["max_bindings_per_bind_group", "11", "6"],
    );
    refused(
        &|limits| limits.max_compute_workgroups_per_dimension = 0,
        &["max_compute_workgroups_per_dimension", "1", "0"],
    );
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
        // Recording and submitting may go on in ignorance, but what answers says the truth.
        let forward = tensors.forward();
        assert!(
            matches!(forward, Ok(()) | Err(Error::DeviceLost { .. })),
            "{forward:?}"
        );
        let uploaded = device.upload(&[1.0f32; 4], [4]);
        assert!(
            matches!(uploaded, Err(Error::DeviceLost { .. })),
            "{uploaded:?}"
        );
        let layer = BatchNorm::new(&device, 3, BatchNormOptions::default());
        assert!(matches!(layer, Err(Error::DeviceLost { .. })), "{layer:?}");
        let downloaded = device.download::<f32>(&tensors.y);
        assert!(
            matches!(downloaded, Err(Error::DeviceLost { .. })),
            "{downloaded:?}"
        );
        // What may not have noticed before has been told now, whether or not it has to make anything.
        let written = device.write(&tensors.x, &[0.0f32; 12]);
        assert!(
            matches!(written, Err(Error::DeviceLost { .. })),
            "{written:?}"
        );
    }
    let again = Device::new().unwrap();
    Tensors::new(&again).forward().unwrap();
}
