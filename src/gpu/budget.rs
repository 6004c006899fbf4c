//! How many bytes the buffers of a device take, and how many they may.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Device;
use super::device::new_buffer;
use super::pool::Memory;
use crate::{Error, Result};

/// The bytes of a device's buffers, with a bound of the caller's.
#[derive(Debug)]
pub(super) struct Budget {
    used: AtomicU64,
    most: AtomicU64,
}

/// Bytes that are taken of a budget until this goes.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    /// A budget without a bound.
    pub(super) fn unbounded() -> Arc<Self> {
        Arc::new(Self {
            used: AtomicU64::new(0),
            most: AtomicU64::new(u64::MAX),
        })
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Bounds what is taken from now on; what is taken already stays, also where it is more.
    pub(super) fn bound(&self, most: Option<u64>) {
        self.most.store(most.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// So many bytes more, where the budget has them.
    pub(super) fn take(self: &Arc<Self>, bytes: u64) -> Option<Share> {
        let most = self.most.load(Ordering::Relaxed);
        let more = |used: u64| used.checked_add(bytes).filter(|&used| used <= most);
        let taken = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.ok().map(|_| Share {
            budget: Arc::clone(self),
            bytes,
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Device {
    /// Frees the memory of tensors that are gone, which is otherwise kept for the next ones.
    pub fn release_pooled_memory(&self) {
        self.inner.pool.clear();
        self.inner.staging.clear();
    }

    /// The bytes of all buffers that this device has made for tensors, parameters and downloads, with
    /// those that wait for their next tensor.
    #[must_use]
    pub fn memory_in_use(&self) -> u64 {
        self.inner.budget.used()
    }

    /// Bounds [`memory_in_use`](Self::memory_in_use), for an app that shares its GPU with others, or
    /// lifts the bound. What would exceed it first frees the memory of tensors that are gone, and if
    /// that is not enough fails with [`Error::OutOfMemory`]; what there is stays.
    ///
    /// Buffers that an operation takes from the caller do not count, and the driver may take more for
    /// each buffer than its size.
    pub fn set_memory_budget(&self, bytes: Option<u64>) {
        self.inner.budget.bound(bytes);
    }

    /// A new buffer; where memory is short, after freeing what the pools keep.
    pub(super) fn create_memory(
        &self,
        label: &str,
        size: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<Arc<Memory>> {
        let create = || {
            let Some(share) = self.inner.budget.take(size) else {
                return Err(Error::OutOfMemory {
                    name: label.to_owned(),
                    needed: size,
                });
            };
            let buffer = self.scoped(label, size, || {
                new_buffer(&self.inner.device, label, size, usage)
            })?;
            Ok(self.remember(buffer, Some(share)))
        };
        match create() {
            Err(Error::OutOfMemory { .. }) => {
                self.release_pooled_memory();
                create()
            }
            other => other,
        }
    }

    /// A buffer under an identity that bind groups are found by.
    pub(super) fn remember(&self, buffer: wgpu::Buffer, share: Option<Share>) -> Arc<Memory> {
        Memory::new(buffer, Arc::downgrade(&self.inner.groups), share)
    }
}
