//! Devices that are too small for something, or gone.

use wgnorm::{BatchNormOptions, DType, Device, Error, Shape, functional, wgpu};

use crate::device;
use crate::spoilt::{Tensors, expect};

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
