//! Buffers that wait for their next tensor, so that a warm training step creates none.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use super::budget::Share;
use super::device::lock;
use super::groups::Groups;

/// A number that this process has not given to anything else.
pub(super) fn fresh_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A buffer under an identity that no other buffer ever has, also not after this one is gone:
/// what is cached for a buffer is found by it, and goes with it.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) id: u64,
    pub(super) buffer: wgpu::Buffer,
    groups: Weak<Groups>,
    /// What the buffer takes of the device's budget; nothing for one of the caller's.
    _share: Option<Share>,
}

impl Memory {
    /// A buffer that bind groups in `groups` may be made for.
    pub(super) fn new(
        buffer: wgpu::Buffer,
        groups: Weak<Groups>,
        share: Option<Share>,
    ) -> Arc<Self> {
        Arc::new(Self {
            id: fresh_id(),
            buffer,
            groups,
            _share: share,
        })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // A bind group would keep the buffer's memory.
        if let Some(groups) = self.groups.upgrade() {
            groups.forget(self.id);
        }
    }
}

/// The free buffers of a device by size.
#[derive(Debug, Default)]
pub(super) struct Pool {
    free: Mutex<HashMap<u64, BTreeMap<u64, Arc<Memory>>>>,
}

impl Pool {
    /// The size that a buffer for `bytes` really gets: eight steps to every power of two, so that
    /// shapes of about one size share buffers and at most an eighth is wasted.
    pub(super) fn rounded(bytes: u64) -> u64 {
        let bytes = bytes.max(256);
        let step = (bytes.next_power_of_two() / 16).max(256);
        bytes.div_ceil(step) * step
    }

    /// The oldest buffer of that size, and not the last one given back: a repeated step then takes
    /// the same buffers however they came back, and finds the bind groups made for them.
    pub(super) fn take(&self, rounded: u64) -> Option<Arc<Memory>> {
        let (_, memory) = lock(&self.free).get_mut(&rounded)?.pop_first()?;
        Some(memory)
    }

    pub(super) fn clear(&self) {
        let free = std::mem::take(&mut *lock(&self.free));
        // Freeing takes other locks.
        drop(free);
    }

    pub(super) fn give(&self, memory: Arc<Memory>) {
        lock(&self.free)
            .entry(memory.buffer.size())
            .or_default()
            .insert(memory.id, memory);
    }
}

/// A buffer that tensors share; the last of them to go gives a pooled one back.
#[derive(Debug)]
pub(super) struct Storage {
    pub(super) memory: Arc<Memory>,
    home: Weak<Pool>,
    /// Cleared once the buffer is used by commands whose submission this crate does not see: such
    /// a buffer could be handed out again, and overwritten, before those commands run.
    reusable: AtomicBool,
    /// Cleared once the buffer can never be mapped again.
    mappable: AtomicBool,
}

impl Storage {
    pub(super) fn pooled(memory: Arc<Memory>, home: Weak<Pool>) -> Self {
        Self {
            memory,
            home,
            reusable: AtomicBool::new(true),
            mappable: AtomicBool::new(false),
        }
    }

    /// A buffer of the caller's, which never enters the pool.
    pub(super) fn foreign(memory: Arc<Memory>) -> Self {
        Self {
            memory,
            home: Weak::new(),
            reusable: AtomicBool::new(false),
            mappable: AtomicBool::new(true),
        }
    }

    pub(super) fn never_reuse(&self) {
        self.reusable.store(false, Ordering::Relaxed);
    }

    /// Whether the host has mapped the buffer, as seen at 4 bytes of it.
    pub(super) fn is_mapped(&self, offset: u64) -> bool {
        const BY_ASKING: wgpu::BufferUsages =
            wgpu::BufferUsages::MAP_READ.union(wgpu::BufferUsages::MAP_WRITE);
        if !self.mappable.load(Ordering::Relaxed) {
            return false;
        }
        let buffer = &self.memory.buffer;
        let mapped = buffer.get_mapped_range(offset..offset + 4).is_ok();
        // Without these usages a buffer can only have been mapped from its creation on, once.
        if !mapped && !buffer.usage().intersects(BY_ASKING) {
            self.mappable.store(false, Ordering::Relaxed);
        }
        mapped
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        if *self.reusable.get_mut()
            && let Some(pool) = self.home.upgrade()
        {
            pool.give(Arc::clone(&self.memory));
        }
    }
}
