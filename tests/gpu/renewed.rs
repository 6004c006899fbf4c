//! Devices that are made anew from time to time: one keeps every kernel that it has compiled, which for
//! all of this suite would be 15 GB on a software driver.

use std::sync::{Mutex, PoisonError};

use wgnorm::Device;

/// Kernels that a device may have compiled before the next test gets a new one.
const MOST_KERNELS: isize = 500;

/// A device for whoever asks next.
pub(crate) struct Renewed {
    make: fn() -> Option<Device>,
    current: Mutex<Current>,
}

enum Current {
    Unknown,
    Absent,
    Made(Device),
}

impl Renewed {
    pub(crate) const fn new(make: fn() -> Option<Device>) -> Self {
        Self {
            make,
            current: Mutex::new(Current::Unknown),
        }
    }

    /// The device, or `None` where there was none when it was first asked for.
    pub(crate) fn get(&self) -> Option<Device> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match &*current {
            Current::Absent => return None,
            Current::Made(device) if kernels(device) < MOST_KERNELS => return Some(device.clone()),
            // Tests that are under way keep the one before until they end.
            Current::Made(_) | Current::Unknown => *current = Current::Unknown,
        }
        let made = (self.make)();
        *current = made.clone().map_or(Current::Absent, Current::Made);
        made
    }
}

fn kernels(device: &Device) -> isize {
    let counters = device.wgpu_device().get_internal_counters();
    counters.hal.compute_pipelines.read()
}
