//! The work on what every channel has some of, such as moments: no activation has a part in it.

use super::tuning::Tuning;
use super::{Cut, Geometry, MAX_SLOTS, Plan, Reduce, bounded, fold};
use crate::Result;
use crate::gpu::Limits;

/// The most parts of a channel that one dispatch merges: a lane of a software driver goes over its share
/// of them four times, and may not run more than 65,535 loop iterations.
const MAX_PARTS: u64 = 32_768;

/// How channels are dealt to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Channels {
    pub(crate) count: u32,
    pub(crate) workgroup: u32,
    pub(crate) reduce: Reduce,
    max_groups: u32,
}

/// The parts of every channel and where they lie, in whatever they are counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    /// How many there are of each channel.
    pub(crate) count: u32,
    /// The first one of the first channel.
    pub(crate) first: u32,
    pub(crate) channel_step: u32,
    pub(crate) part_step: u32,
}

impl Channels {
    pub(crate) fn new(count: usize, limits: &Limits) -> Result<Self> {
        let workgroup = Tuning::of(limits.class).workgroup;
        Ok(Self {
            count: bounded("channels", count as u64, MAX_SLOTS)?,
            workgroup,
            reduce: Reduce::of(limits, workgroup),
            max_groups: limits.max_groups,
        })
    }

    /// Workgroups and the grid for one of them per channel.
    pub(crate) fn workgroups(&self) -> Result<(u32, [u32; 2])> {
        Ok((self.count, fold(self.count.into(), self.max_groups)?))
    }

    /// Workgroups and the grid for one lane per channel.
    pub(crate) fn lanes(&self) -> Result<(u32, [u32; 2])> {
        let groups = self.count.div_ceil(self.workgroup);
        Ok((groups, fold(groups.into(), self.max_groups)?))
    }
}

impl Parts {
    /// The partial results that a plan's first dispatch leaves behind so many saved vectors of a state.
    pub(crate) fn of_plan(plan: &Plan, saved: u32) -> Self {
        let by_columns = |cut: &Cut| matches!(cut.geometry, Geometry::Columns(_));
        let (channel_step, part_step) = if plan.cuts.iter().any(by_columns) {
            (1, plan.slots)
        } else {
            (plan.partials, 1)
        };
        Self {
            count: plan.partials,
            first: 1 + saved,
            channel_step,
            part_step,
        }
    }

    /// The rows of a tensor that has all channels in each.
    pub(crate) fn of_rows(rows: usize, channels: u32) -> Result<Self> {
        Ok(Self {
            count: bounded("parts of a channel", rows as u64, MAX_PARTS)?,
            first: 0,
            channel_step: 1,
            part_step: channels,
        })
    }

    /// The same counted in halves of what they are counted in.
    pub(crate) fn halved(self) -> Self {
        Self {
            count: self.count,
            first: 2 * self.first,
            channel_step: 2 * self.channel_step,
            part_step: 2 * self.part_step,
        }
    }
}
