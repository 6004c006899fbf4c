//! Lists the adapters that wgpu sees, with the limits and features that matter to wgnorm, whether
//! it runs on each, and which one `Device::new` takes. Exit code 3: there is none to take.
//!
//! `cargo run --release --example adapters`; `WGPU_BACKEND`, `WGPU_ADAPTER_NAME` and
//! `WGPU_POWER_PREF` count here as they do in `Device::new`.

use std::process::ExitCode;

use wgnorm::Device;
use wgnorm::wgpu::{self, Features};

/// What kernels or measurements make use of where it is there.
const FEATURES: Features = Features::SUBGROUP
    .union(Features::SHADER_F16)
    .union(Features::SHADER_INT64)
    .union(Features::TIMESTAMP_QUERY);

fn main() -> ExitCode {
    let taken = Device::new();
    let info = |device: &Device| device.wgpu_device().adapter_info();
    let info = taken.as_ref().map(info).ok();
    for adapter in adapters() {
        show(&adapter, info == Some(adapter.get_info()));
    }
    match taken {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Device::new takes none: {error}");
            ExitCode::from(3)
        }
    }
}

fn adapters() -> Vec<wgpu::Adapter> {
    let backends = wgpu::Backends::from_env().unwrap_or(wgpu::Backends::all());
    // wgpu panics on an instance for backends of which none is compiled in.
    if !wgpu::Instance::enabled_backend_features().intersects(backends) {
        return Vec::new();
    }
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = backends;
    pollster::block_on(wgpu::Instance::new(descriptor).enumerate_adapters(backends))
}

fn show(adapter: &wgpu::Adapter, taken: bool) {
    let (info, has) = (adapter.get_info(), adapter.limits());
    let (backend, kind) = (info.backend, info.device_type);
    let mark = if taken { "  <- Device::new" } else { "" };
    println!("{} ({backend:?}, {kind:?}){mark}", info.name);
    println!("  driver: {} {}", info.driver.trim(), info.driver_info);
    let binding = has.max_storage_buffer_binding_size >> 20;
    let buffer = has.max_buffer_size >> 20;
    println!("  the largest binding has {binding} MiB, the largest buffer {buffer} MiB");
    let buffers = has.max_storage_buffers_per_shader_stage;
    let step = has.min_storage_buffer_offset_alignment;
    println!("  {buffers} storage buffers per stage, offsets in steps of {step} bytes");
    let bytes = has.max_compute_workgroup_storage_size;
    let invocations = has.max_compute_invocations_per_workgroup;
    println!("  workgroups of up to {invocations} invocations with {bytes} bytes to share");
    let (least, most) = (info.subgroup_min_size, info.subgroup_max_size);
    println!("  subgroups of {least} to {most} invocations");
    let features = (adapter.features() & FEATURES).iter_names();
    let names: Vec<&str> = features.map(|(name, _)| name).collect();
    println!("  features that matter: {}", names.join(", "));
    match opens(adapter) {
        Ok(()) => println!("  wgnorm runs here\n"),
        Err(error) => println!("  wgnorm does not run here: {error}\n"),
    }
}

/// Asks the library itself, on a device with everything that the adapter has.
fn opens(adapter: &wgpu::Adapter) -> Result<(), Box<dyn std::error::Error>> {
    let descriptor = wgpu::DeviceDescriptor {
        required_limits: adapter.limits(),
        ..wgpu::DeviceDescriptor::default()
    };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor))?;
    Device::from_wgpu(device, queue)?;
    Ok(())
}
