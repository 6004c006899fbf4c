//! Buffers that wait for their next tensor, so that a warm training step creates none.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, Weak};

/// The free buffers of a device by size.
#[derive(Debug, Default)]
pub(super) struct Pool {
    free: Mutex<HashMap<u64, Vec<wgpu::Buffer>>>,
}

impl Pool {
    /// The size that a buffer for `bytes` really gets: eight steps to every power of two, so that
    /// shapes of about one size share buffers and at most an eighth is wasted.
    pub(super) fn rounded(bytes: u64) -> u64 {
        let bytes = bytes.max(256);
        let step = (bytes.next_power_of_two() / 16).max(256);
        bytes.div_ceil(step) * step
    }

    pub(super) fn take(&self, rounded: u64) -> Option<wgpu::Buffer> {
        self.lock().get_mut(&rounded)?.pop()
    }

    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    pub(super) fn give(&self, buffer: wgpu::Buffer) {
        self.lock().entry(buffer.size()).or_default().push(buffer);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Vec<wgpu::Buffer>>> {
        // The map is whole between any two statements that hold the lock.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A buffer that tensors share; the last of them to go gives a pooled one back.
#[derive(Debug)]
pub(super) struct Storage {
    pub(super) buffer: wgpu::Buffer,
    home: Weak<Pool>,
    /// Cleared once the buffer is used by commands whose submission this crate does not see: such
    /// a buffer could be handed out again, and overwritten, before those commands run.
    reusable: AtomicBool,
}

impl Storage {
    pub(super) fn pooled(buffer: wgpu::Buffer, home: Weak<Pool>) -> Self {
        Self {
            buffer,
            home,
            reusable: AtomicBool::new(true),
        }
    }

    /// A buffer of the caller's, which never enters the pool.
    pub(super) fn foreign(buffer: wgpu::Buffer) -> Self {
        Self {
            buffer,
            home: Weak::new(),
            reusable: AtomicBool::new(false),
        }
    }

    pub(super) fn is_foreign(&self) -> bool {
        self.home.strong_count() == 0
    }

    pub(super) fn never_reuse(&self) {
        self.reusable.store(false, Ordering::Relaxed);
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        if *self.reusable.get_mut()
            && let Some(pool) = self.home.upgrade()
        {
            pool.give(self.buffer.clone());
        }
    }
}
