//! Bind groups that were made before, so that an operation which is repeated makes none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::device::lock;

/// A range of a buffer as a bind group shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bound {
    /// The [`id`](super::pool::Memory::id) of the buffer.
    pub(super) memory: u64,
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

/// All that a bind group is made of.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct GroupKey {
    /// The [`id`](super::pipeline::Pipeline::id) of the pipeline whose layout it has.
    pub(super) pipeline: u64,
    /// The parameter block, then the bindings of the layout in its order; `None` is a placeholder.
    pub(super) bound: Vec<Option<Bound>>,
}

impl GroupKey {
    fn memories(&self) -> impl Iterator<Item = u64> {
        self.bound.iter().flatten().map(|bound| bound.memory)
    }
}

/// More bind groups than the dispatches of a large network; above it the cache starts anew.
const MOST: usize = 4096;

/// The bind groups of a device.
///
/// wgpu keeps a buffer for as long as a bind group shows it. Each group here therefore goes with
/// the first of its buffers to go, see [`Memory`](super::pool::Memory), so that no buffer lives
/// longer than it would without this cache. A buffer in the pool keeps its groups: it comes back
/// as the same buffer.
#[derive(Debug, Default)]
pub(super) struct Groups {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    groups: HashMap<Arc<GroupKey>, wgpu::BindGroup>,
    /// The groups that show a buffer.
    showing: HashMap<u64, Vec<Arc<GroupKey>>>,
}

impl Groups {
    pub(super) fn find(&self, key: &GroupKey) -> Option<wgpu::BindGroup> {
        lock(&self.kept).groups.get(key).cloned()
    }

    /// Keeps a group until one of its buffers goes. The caller holds all of them, so that none has
    /// gone already.
    pub(super) fn keep(&self, key: GroupKey, group: &wgpu::BindGroup) {
        let mut kept = lock(&self.kept);
        let full = kept.groups.len() >= MOST;
        let old = full.then(|| std::mem::take(&mut *kept));
        kept.insert(Arc::new(key), group);
        drop(kept);
        drop(old);
    }

    /// Drops the groups that show a buffer.
    pub(super) fn forget(&self, memory: u64) {
        let gone = lock(&self.kept).remove(memory);
        // Dropped without the lock, since wgpu takes locks of its own.
        drop(gone);
    }

    /// Drops all groups.
    pub(super) fn clear(&self) {
        let gone = std::mem::take(&mut *lock(&self.kept));
        drop(gone);
    }
}

impl Kept {
    fn insert(&mut self, key: Arc<GroupKey>, group: &wgpu::BindGroup) {
        if self.groups.contains_key(&key) {
            // Another thread has made the same one meanwhile.
            return;
        }
        for memory in key.memories() {
            let showing = self.showing.entry(memory).or_default();
            let known = showing.last().is_some_and(|last| Arc::ptr_eq(last, &key));
            if !known {
                showing.push(Arc::clone(&key));
            }
        }
        self.groups.insert(key, group.clone());
    }

    fn remove(&mut self, memory: u64) -> Vec<wgpu::BindGroup> {
        let keys = self.showing.remove(&memory).unwrap_or_default();
        for key in &keys {
            for other in key.memories() {
                // Buffers that stay must not collect the keys of groups that are gone.
                if let Some(showing) = self.showing.get_mut(&other) {
                    showing.retain(|shown| !Arc::ptr_eq(shown, key));
                    if showing.is_empty() {
                        self.showing.remove(&other);
                    }
                }
            }
        }
        let gone = keys.iter().filter_map(|key| self.groups.remove(key));
        gone.collect()
    }
}
