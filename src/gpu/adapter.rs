//! Which adapter a device of our own is made on.

use std::sync::OnceLock;

use super::Limits;
use crate::{Error, Result};

/// Picks an adapter: hardware before software, the environment before both. `WGPU_BACKEND` is a
/// comma list of backends, `WGPU_ADAPTER_NAME` a part of the adapter's name in any case, and
/// `WGPU_POWER_PREF` `low` or `high`.
pub(super) async fn choose() -> Result<wgpu::Adapter> {
    let backends = wgpu::Backends::from_env().unwrap_or(wgpu::Backends::all());
    let name = std::env::var("WGPU_ADAPTER_NAME").ok();
    let power = wgpu::PowerPreference::from_env().unwrap_or_default();
    let none = || Error::NoAdapter {
        tried: format!(
            "backends {backends:?}, name {}, power preference {power:?}",
            name.as_deref().unwrap_or("any")
        ),
        hint: "install a Vulkan driver (Mesa's software one is Debian's mesa-vulkan-drivers), or \
               check WGPU_BACKEND and WGPU_ADAPTER_NAME",
    };
    if !wgpu::Instance::enabled_backend_features().intersects(backends) {
        return Err(none());
    }
    let instance = instance();
    let chosen = if cfg!(target_arch = "wasm32") {
        // A browser has one adapter to offer, and only on request.
        let options = wgpu::RequestAdapterOptions {
            power_preference: power,
            ..wgpu::RequestAdapterOptions::default()
        };
        instance.request_adapter(&options).await.ok()
    } else {
        let wanted = name.as_deref().map(str::to_lowercase);
        instance
            .enumerate_adapters(backends)
            .await
            .into_iter()
            .filter(|adapter| {
                let name = adapter.get_info().name.to_lowercase();
                wanted.as_ref().is_none_or(|wanted| name.contains(wanted))
            })
            .min_by_key(|adapter| {
                // One that cannot run the kernels only comes up to say so.
                let fits = Limits::check(&adapter.limits()).is_ok();
                (!fits, rank(&adapter.get_info(), power))
            })
    };
    let chosen = chosen.ok_or_else(none)?;
    Limits::check(&chosen.limits())?;
    Ok(chosen)
}

/// The one instance of all devices of our own: wgpu refuses a buffer of another device only where
/// both come from one instance, and panics otherwise.
fn instance() -> wgpu::Instance {
    static INSTANCE: OnceLock<wgpu::Instance> = OnceLock::new();
    let new = || wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    INSTANCE.get_or_init(new).clone()
}

/// Lower is better. Among equals the first wins, and wgpu lists the native APIs before GL.
fn rank(info: &wgpu::AdapterInfo, power: wgpu::PowerPreference) -> u32 {
    let low_power = power == wgpu::PowerPreference::LowPower;
    match info.device_type {
        wgpu::DeviceType::DiscreteGpu => u32::from(low_power),
        wgpu::DeviceType::IntegratedGpu => u32::from(!low_power),
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}
