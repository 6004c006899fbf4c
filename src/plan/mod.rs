//! How the work on a view is cut into workgroups: a pure function of view, options and limits, so
//! that it is tested without a GPU and two runs of one shape always give the same bits.
//!
//! A later strategy is one more geometry here, one more module beside these two and its shaders.

mod columns;
mod named;
mod rows;

pub(crate) use columns::Columns;
pub(crate) use rows::Rows;

use crate::gpu::{DeviceClass, Limits};
use crate::{Error, Result, Shape, View};

/// How the reduction over a channel is spread over the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// Two dispatches; workgroups read a channel's rows of consecutive elements.
    SplitRows,
    /// Two dispatches; lanes lie along the channels and walk down. For channels last only.
    SplitColumns,
}

impl Strategy {
    /// The name in tables and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SplitRows => "split_rows",
            Self::SplitColumns => "split_columns",
        }
    }
}

/// Overrides the planner's choices, for tests and measurements; the default leaves all to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PlanOptions {
    /// The strategy; [`Error::Strategy`] where it does not apply to the shape.
    pub strategy: Option<Strategy>,
    /// The class of device to plan for.
    pub class: Option<DeviceClass>,
}

/// What a word of the kernels is, see shaders/lib/element_*.wgsl.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Word {
    F32,
    F32x4,
}

impl Word {
    /// Elements in a word.
    pub(crate) const fn width(self) -> u32 {
        match self {
            Self::F32 => 1,
            Self::F32x4 => 4,
        }
    }
}

/// The cut of one view, the same for every dispatch of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) word: Word,
    /// Invocations in a workgroup.
    pub(crate) workgroup: u32,
    /// Workgroups that have work; the grid may hold a few more.
    pub(crate) groups: u32,
    pub(crate) grid: [u32; 2],
    /// Slots (channels).
    pub(crate) count: u32,
    /// Elements in a slot.
    pub(crate) slot_len: u32,
    /// Partial results of all slots.
    pub(crate) partials: u32,
    pub(crate) geometry: Geometry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Geometry {
    Rows(Rows),
    Columns(Columns),
}

impl Geometry {
    fn new(view: View, strategy: Strategy, tuning: &Tuning) -> (Word, Self) {
        match strategy {
            Strategy::SplitRows => {
                let (word, rows) = Rows::new(view, tuning);
                (word, Self::Rows(rows))
            }
            Strategy::SplitColumns => {
                let (word, columns) = Columns::new(view, tuning);
                (word, Self::Columns(columns))
            }
        }
    }

    /// The workgroups of all slots, and the partial results of one of `count`.
    fn totals(&self, count: u32) -> (u64, u32) {
        match self {
            Self::Rows(rows) => (u64::from(count) * u64::from(rows.slices), rows.slices),
            Self::Columns(columns) => (
                u64::from(columns.blocks) * u64::from(columns.slices),
                columns.partials,
            ),
        }
    }
}

impl Plan {
    /// Plans for a view with at least one element.
    pub(crate) fn new(view: View, options: PlanOptions, limits: &Limits) -> Result<Self> {
        let numel = bounded("elements of a tensor", view.numel() as u64, MAX_ELEMENTS)?;
        let class = options.class.unwrap_or(limits.class);
        let max_bytes = match class {
            DeviceClass::Gpu => limits.max_binding_bytes,
            DeviceClass::Cpu => limits.max_binding_bytes.min(MAX_CPU_BYTES),
        };
        bounded(
            "bytes of one binding",
            (view.numel() as u64).saturating_mul(4),
            max_bytes,
        )?;
        // A single channel is one long row, wherever its axis lies.
        let view = match view.count {
            1 => View {
                outer: 1,
                count: 1,
                inner: numel as usize,
            },
            _ => view,
        };
        let strategy = options.strategy.unwrap_or(match view.inner {
            1 => Strategy::SplitColumns,
            _ => Strategy::SplitRows,
        });
        let tuning = Tuning::of(class);
        let (word, geometry) = Geometry::new(view, strategy, &tuning);
        let count = view.count as u32;
        let (groups, partials) = geometry.totals(count);
        Ok(Self {
            word,
            workgroup: tuning.workgroup,
            groups: bounded("workgroups", groups, u32::MAX.into())?,
            grid: fold(groups, limits.max_groups)?,
            count,
            slot_len: view.slot_len() as u32,
            partials: bounded(
                "partial results",
                u64::from(count) * u64::from(partials),
                u64::from(u32::MAX / 16),
            )?,
            geometry,
        })
    }

    /// The f32 that the state of this plan needs: see shaders/lib/state.wgsl.
    pub(crate) fn state_len(&self) -> usize {
        4 * (1 + self.count as usize + self.partials as usize)
    }

    /// Refuses to force split columns onto a view that has none.
    pub(crate) fn check_forced(
        options: PlanOptions,
        view: View,
        shape: &Shape,
        axis: usize,
    ) -> Result<()> {
        match options.strategy {
            Some(Strategy::SplitColumns) if view.inner != 1 || view.count == 1 => {
                Err(Error::Strategy {
                    strategy: Strategy::SplitColumns.name(),
                    shape: shape.clone(),
                    axis,
                    reason: "it needs more than one channel, and the channels last",
                })
            }
            _ => Ok(()),
        }
    }
}

/// What suits a class of device. The two pull apart: measured on lavapipe, one 8-lane subgroup
/// that streams is up to 1.7 times faster than a wide workgroup, and few slices faster than many.
pub(crate) struct Tuning {
    /// Invocations in a workgroup, a power of two.
    pub(crate) workgroup: u32,
    /// Words of a row that a workgroup of split columns takes at the most: a GPU wants whole cache
    /// lines, and no more columns than that to merge.
    pub(crate) tile_words: usize,
    /// Workgroups that fill the device.
    target_groups: usize,
    /// Words that are worth a workgroup of their own.
    min_words: usize,
}

/// The most elements of a tensor. The kernels count in u32, and walk past the last element by up to
/// a row of the tensor before they compare.
const MAX_ELEMENTS: u64 = i32::MAX as u64;
/// The most bytes of a tensor that plans of the CPU class bind: above them the iterations of the loops
/// that merge partials approach lavapipe's 65,535.
const MAX_CPU_BYTES: u64 = 1 << 29;
/// The most words that one lane may read. A lane of lavapipe silently stops after 65,535 loop
/// iterations in all, and the backward's loop takes two words per iteration.
pub(crate) const MAX_LANE_WORDS: usize = 16_384;
/// The most terms that one f32 sum takes before it is flushed into a second one, and the most of
/// those: longer sums lose accuracy.
pub(crate) const MAX_TERMS: usize = 256;
/// The most rows that one lane of split columns walks down, for the same reason.
pub(crate) const MAX_COLUMN_ROWS: usize = 16_384;
/// Loads that a lane has in flight.
pub(crate) const UNROLL: usize = 4;

impl Tuning {
    fn of(class: DeviceClass) -> Self {
        match class {
            DeviceClass::Gpu => Self {
                workgroup: 256,
                tile_words: 32,
                target_groups: 1024,
                min_words: 2048,
            },
            DeviceClass::Cpu => Self {
                workgroup: 8,
                tile_words: 8,
                target_groups: 8,
                min_words: 4096,
            },
        }
    }

    /// Into how many slices to cut the words of each of `count` equal parts.
    pub(crate) fn slices(&self, count: usize, words: usize) -> usize {
        let to_fill = self.target_groups.div_ceil(count);
        to_fill.min(words / self.min_words).max(1)
    }
}

fn bounded(name: &'static str, needed: u64, limit: u64) -> Result<u32> {
    match u32::try_from(needed) {
        Ok(value) if needed <= limit => Ok(value),
        // Sizes in bytes may exceed a u32 and yet be within a limit; nobody asks for their value.
        Err(_) if needed <= limit => Ok(u32::MAX),
        _ => Err(Error::TooLarge {
            name,
            needed,
            limit,
        }),
    }
}

/// The grid for that many workgroups where a dimension is limited.
fn fold(groups: u64, max_groups: u32) -> Result<[u32; 2]> {
    let max = u64::from(max_groups);
    let height = groups.div_ceil(max);
    if height > max {
        return Err(Error::TooLarge {
            name: "workgroups",
            needed: groups,
            limit: max * max,
        });
    }
    Ok([groups.div_ceil(height) as u32, height as u32])
}

#[cfg(test)]
mod tests;
