//! The adapter that is measured, opened with all that it can do.

use std::time::Instant;

use wgnorm::Device;
use wgnorm::wgpu;

use crate::Outcome;
use crate::clock::Clock;

/// The device under test.
pub(crate) struct Gpu {
    pub(crate) device: Device,
    pub(crate) info: wgpu::AdapterInfo,
    pub(crate) clock: Clock,
    /// From nothing to a device, the driver's start included.
    pub(crate) opened_ns: u64,
}

impl Gpu {
    /// Opens the best adapter whose name contains `adapter` and what `WGPU_ADAPTER_NAME` says, on
    /// the backends of `WGPU_BACKEND`.
    pub(crate) fn open(adapter: Option<&str>) -> Outcome<Self> {
        let begun = Instant::now();
        let adapter = choose(adapter)?;
        let info = adapter.get_info();
        // What the clock and the copy kernels use where it is there.
        let wanted = wgpu::Features::TIMESTAMP_QUERY
            | wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS
            | Device::OPTIONAL_FEATURES;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("norms"),
            required_features: adapter.features() & wanted,
            required_limits: adapter.limits(),
            ..wgpu::DeviceDescriptor::default()
        };
        let (wgpu_device, queue) = pollster::block_on(adapter.request_device(&descriptor))?;
        let device = Device::from_wgpu(wgpu_device.clone(), queue.clone())?;
        let opened_ns = begun.elapsed().as_nanos() as u64;
        let clock = Clock::new(wgpu_device, queue);
        Ok(Self {
            device,
            info,
            clock,
            opened_ns,
        })
    }
}

/// Hardware before software, and the first of equals.
fn choose(adapter: Option<&str>) -> Outcome<wgpu::Adapter> {
    let backends = wgpu::Backends::from_env().unwrap_or(wgpu::Backends::all());
    let from_env = std::env::var("WGPU_ADAPTER_NAME").ok();
    let names = [adapter.map(str::to_owned), from_env];
    let wanted: Vec<String> = names
        .into_iter()
        .flatten()
        .map(|name| name.to_lowercase())
        .collect();
    let descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    let instance = wgpu::Instance::new(descriptor);
    let found = pollster::block_on(instance.enumerate_adapters(backends));
    let described: Vec<String> = found
        .iter()
        .map(wgpu::Adapter::get_info)
        .map(|info| format!("{} ({})", info.name, info.backend.to_str()))
        .collect();
    let named = found.into_iter().filter(|adapter| {
        let name = adapter.get_info().name.to_lowercase();
        wanted.iter().all(|wanted| name.contains(wanted))
    });
    let chosen = named.min_by_key(|adapter| match adapter.get_info().device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    });
    chosen.ok_or_else(|| {
        let here = match described.as_slice() {
            [] => "there is none; scripts/with-adapter installs a software one".to_owned(),
            some => format!("there are {}", some.join(", ")),
        };
        format!("no adapter on {backends:?} has {wanted:?} in its name: {here}").into()
    })
}
