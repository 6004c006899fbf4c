//! `shaders/lib/slots.wgsl` and the index map of `shaders/fold_sums.wgsl` once more.

use super::params::FoldParams;
use super::{Gains, NUMBERS, Plan, field};

/// Which statistic and which gain a slot has.
#[derive(Clone, Copy)]
pub(super) struct Slots {
    grouped: bool,
    pub(super) fan: u32,
    gains: u32,
}

impl Slots {
    pub(super) fn new(plan: &Plan, fan: u32, gains: u32) -> Self {
        Self {
            grouped: matches!(plan.gains, Gains::Period(_)),
            fan,
            gains,
        }
    }

    pub(super) fn is_grouped(&self) -> bool {
        self.grouped
    }

    pub(super) fn statistic_of(&self, slot: u32) -> u32 {
        if self.grouped { slot / self.fan } else { slot }
    }

    pub(super) fn leads(&self, slot: u32) -> bool {
        !self.grouped || slot.is_multiple_of(self.fan)
    }

    pub(super) fn gain_of(&self, slot: u32) -> u32 {
        if self.grouped {
            slot % self.gains
        } else {
            slot
        }
    }
}

/// `Params` of shaders/lib/fold.wgsl.
pub(super) struct Fold {
    workgroup: u32,
    pub(super) count: u32,
    pub(super) batches: u32,
    partials: u32,
    slot_step: u32,
    partial_step: u32,
}

impl Fold {
    pub(super) fn new(plan: &Plan) -> Self {
        let block = FoldParams::new(plan, plan.gain_count(), [1, 1], &NUMBERS);
        let block = bytemuck::bytes_of(&block);
        let get = |name| field(FoldParams::FIELDS, block, name);
        Self {
            workgroup: plan.workgroup,
            count: get("count"),
            batches: get("batches"),
            partials: get("partials"),
            slot_step: get("slot_step"),
            partial_step: get("partial_step"),
        }
    }

    /// Partials of all slots with one gain.
    pub(super) fn gain_partials(&self) -> u32 {
        self.batches * self.partials
    }

    pub(super) fn gain_partial(&self, gain: u32, i: u32) -> u32 {
        let batch = i / self.partials;
        let partial = i - batch * self.partials;
        let before = batch * self.count * self.partials;
        before + gain * self.slot_step + partial * self.partial_step
    }

    /// The most loop iterations of a lane of `fold_sums` or `fold_statistics`.
    pub(super) fn iterations(&self) -> u64 {
        let samples = u64::from(self.batches) * u64::from(self.partials.max(1));
        let share = samples.div_ceil(self.workgroup.into());
        8 + share + share.div_ceil(16) + share.div_ceil(256)
    }
}
