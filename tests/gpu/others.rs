//! Devices besides the one of all tests, on the same adapter: one is never made while
//! another is.

use std::sync::{Mutex, PoisonError};

use wgnorm::{Device, wgpu};

use crate::device;
use crate::renewed::Renewed;

/// A device of its own instance on the adapter of the tests' own device, if that has the features;
/// with wgpu's own callbacks, which panic over an error that nobody asked for.
pub(crate) fn open(
    features: wgpu::Features,
    change: impl FnOnce(&mut wgpu::DeviceDescriptor<'_>),
) -> Option<(wgpu::Device, wgpu::Queue)> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let wanted = device()?.wgpu_device().adapter_info();
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let backends = wgpu::Backends::from(wanted.backend);
    let adapter = pollster::block_on(instance.enumerate_adapters(backends))
        .into_iter()
        .find(|adapter| adapter.get_info().name == wanted.name)
        .filter(|adapter| adapter.features().contains(features))?;
    let mut descriptor = wgpu::DeviceDescriptor {
        label: Some("another"),
        required_features: features,
        required_limits: adapter.limits(),
        ..wgpu::DeviceDescriptor::default()
    };
    change(&mut descriptor);
    Some(pollster::block_on(adapter.request_device(&descriptor)).unwrap())
}

fn make(
    features: wgpu::Features,
    change: impl FnOnce(&mut wgpu::DeviceDescriptor<'_>),
) -> Option<Device> {
    let (device, queue) = open(features, change)?;
    Some(Device::from_wgpu(device, queue).unwrap())
}

/// A device that binds no more than 1024 bytes at once.
pub(crate) static BINDS_1024: Renewed = Renewed::new(|| binds(1024));
/// A device that binds no more than 4096 bytes at once.
pub(crate) static BINDS_4096: Renewed = Renewed::new(|| binds(4096));
/// A device that binds no more than 16 KiB at once.
pub(crate) static BINDS_16384: Renewed = Renewed::new(|| binds(16384));

/// It has the features of the tests' own device, so that windows meet every kind of word.
fn binds(bytes: u64) -> Option<Device> {
    let features = device()?.wgpu_device().features();
    make(features, |descriptor| {
        descriptor.required_limits.max_storage_buffer_binding_size = bytes;
    })
}

/// A device without any optional feature: no 64-bit words, no subgroups.
pub(crate) static WITHOUT_FEATURES: Renewed =
    Renewed::new(|| make(wgpu::Features::empty(), |_| {}));
/// A device that can map the buffers that it binds.
pub(crate) static MAPS_STORAGE: Renewed =
    Renewed::new(|| make(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS, |_| {}));
