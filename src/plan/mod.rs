//! How the work on a view is cut into workgroups: a pure function of view, options and limits, so
//! that it is tested without a GPU and two runs of one shape always give the same bits.
//!
//! A strategy is a module here, or a geometry that two of them share, and its shaders.

mod channels;
pub(crate) mod choices;
mod columns;
mod cut;
mod layout;
pub(crate) mod matrix;
mod named;
mod reduction;
mod resident;
mod rows;
mod tuning;
mod windows;
mod word;

pub(crate) use channels::{Channels, Parts};
pub(crate) use choices::{Choice, Walk};
pub(crate) use columns::{Columns, SPANS};
pub(crate) use cut::{Cut, Geometry};
pub(crate) use reduction::{Gains, Reduction};
pub(crate) use rows::Rows;
#[cfg(test)]
pub(crate) use tuning::MAX_TURNS;
pub(crate) use tuning::{Tuning, UNIT};
pub(crate) use word::{Half, Word};

use cut::fold;
use layout::Chooser;
use windows::Room;
use word::Words;

use crate::gpu::{DeviceClass, Limits};
use crate::{Error, Result};

/// How the reduction over a channel is spread over the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// Two dispatches; workgroups read a channel's rows of consecutive elements.
    SplitRows,
    /// Two dispatches; lanes lie along the channels and walk down. For channels last only.
    SplitColumns,
    /// One dispatch; a workgroup holds whole channels in its registers. For channels of at most
    /// some thousand values.
    Resident,
}

impl Strategy {
    /// The name in tables and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SplitRows => "split_rows",
            Self::SplitColumns => "split_columns",
            Self::Resident => "resident",
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

/// How words lie among the slots, see shaders/lib/rows_*.wgsl and shaders/lib/span_*.wgsl.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// Rows of whole words.
    Whole,
    /// Rows that begin and end within a word.
    Ragged,
    /// Columns, of which a lane owns so many words of a row: up to 8.
    Span(u32),
    /// Rows of whole words of which a lane holds so many, a power of two up to 32.
    HeldRows(u32),
    /// Columns of which a lane holds so many words.
    HeldColumns(u32),
}

/// How the invocations of a workgroup add up, see shaders/lib/reduce_*.wgsl.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reduce {
    /// Through shared memory, whatever the device.
    Shared,
    /// By subgroups of any width, then through shared memory.
    Subgroups,
    /// The workgroup is one subgroup.
    OneSubgroup,
    /// Not at all, since each has a slot of its own, see `shaders/lib/lanes_apart.wgsl`.
    Apart,
}

impl Reduce {
    /// What suits workgroups of that size on a device.
    fn of(limits: &Limits, workgroup: u32) -> Self {
        match limits.subgroups {
            Some((least, most)) if least == most && most == workgroup => Self::OneSubgroup,
            Some(_) => Self::Subgroups,
            None => Self::Shared,
        }
    }
}

/// Which dispatches of a step a plan is for; those of one training step share its partials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// One dispatch that merges nothing: y or dx through running statistics.
    Flat,
    /// A training forward.
    Forward,
    /// A training forward that weighs by the number of batches so far, which one dispatch cannot both
    /// count and tell to all of its workgroups.
    CumulativeForward,
    /// The backward through sums.
    Backward,
    /// A forward that keeps which elements passed an activation, and the backward that asks for it: what a
    /// lane keeps of its words the same lane reads, so that both are cut alike.
    Gated,
    /// The same where the forward weighs by the number of batches so far.
    CumulativeGated,
}

impl Pass {
    fn is_gated(self) -> bool {
        matches!(self, Self::Gated | Self::CumulativeGated)
    }

    fn reads_dy(self) -> bool {
        self == Self::Backward || self.is_gated()
    }
}

/// The cut of one view, the same for every dispatch of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) strategy: Strategy,
    pub(crate) word: Word,
    pub(crate) form: Form,
    /// Whether a window's first and last word may hold elements of other windows.
    pub(crate) keeps_ends: bool,
    pub(crate) reduce: Reduce,
    /// Invocations in a workgroup.
    pub(crate) workgroup: u32,
    /// Slots (channels) of a batch entry, and of all.
    pub(crate) count: u32,
    pub(crate) slots: u32,
    /// Slots that share a statistic.
    pub(crate) fan: u32,
    pub(crate) gains: Gains,
    /// Partial results of one slot.
    pub(crate) partials: u32,
    /// Words of bits that all lanes keep of what passed an activation.
    pub(crate) gates: u32,
    /// The most workgroups along a dimension of a grid.
    max_groups: u32,
    /// One dispatch each, in memory order.
    pub(crate) cuts: Vec<Cut>,
}

impl Plan {
    /// Plans for a view with at least one element.
    pub(crate) fn new(
        reduction: Reduction,
        pass: Pass,
        options: PlanOptions,
        limits: &Limits,
    ) -> Result<Self> {
        let numel = reduction.view.numel() as u64;
        bounded("elements of a tensor", numel, MAX_ELEMENTS)?;
        bounded("channels", reduction.view.slots() as u64, MAX_SLOTS)?;
        let reduction = reduction.folded();
        let view = reduction.view;
        let class = options.class.unwrap_or(limits.class);
        let int64 = class == DeviceClass::Cpu && limits.int64;
        let words = Words::of(reduction.dtype, int64);
        let rows = options.strategy == Some(Strategy::SplitRows)
            || !reduction.is_columns()
            || !words.fill_entries(&reduction);
        let windows = windows::cut(view, Room::of(reduction.dtype, limits), rows);
        let tuning = Tuning::of(class);
        let layout = Chooser {
            reduction,
            windows: &windows,
            pass,
            tuning: &tuning,
            words,
        }
        .layout(options);
        let columns = Strategy::SplitColumns;
        let is_free = layout.strategy == columns && options.strategy != Some(columns);
        if is_free && layout.partials > layout.max_partials {
            // Columns merge the partials of a whole group for each of its channels, rows once.
            let rows = PlanOptions {
                strategy: Some(Strategy::SplitRows),
                ..options
            };
            return Self::new(reduction, pass, rows, limits);
        }
        reduction.bounded(layout.workgroup)?;
        let cut = |(window, geometry)| Cut::new(window, geometry, view, limits.max_groups);
        let cuts = windows.iter().zip(layout.geometries).map(cut);
        let mut cuts = cuts.collect::<Result<Vec<_>>>()?;
        let mut gates = 0;
        for cut in &mut cuts {
            cut.gates = gates as u32;
            gates += cut.gate_words(layout.word, layout.form, layout.workgroup);
        }
        if !pass.is_gated() {
            gates = 0;
        }
        if layout.strategy == Strategy::Resident
            && options.strategy.is_none()
            && 4 * gates > limits.max_binding_bytes / 2
        {
            // Each lane keeps a word of them however few elements it holds, a split one for 32 elements. Half a
            // binding is left for what else a state has.
            let split = PlanOptions {
                strategy: Some(if reduction.is_columns() {
                    Strategy::SplitColumns
                } else {
                    Strategy::SplitRows
                }),
                ..options
            };
            return Self::new(reduction, pass, split, limits);
        }
        Ok(Self {
            strategy: layout.strategy,
            word: layout.word,
            form: layout.form,
            // Entries of one tensor have statistics of their own, which no word can be told both of.
            keeps_ends: layout.form == Form::Ragged && view.batch > 1,
            reduce: Reduce::of(limits, layout.workgroup),
            workgroup: layout.workgroup,
            count: view.count as u32,
            slots: view.slots() as u32,
            fan: reduction.fan as u32,
            gains: reduction.gains,
            partials: bounded(
                "partial results of a channel",
                layout.partials,
                layout.max_partials,
            )?,
            max_groups: limits.max_groups,
            gates: bounded("words of gates", gates, MAX_GATES)?,
            cuts,
        })
    }

    /// How the lanes that walk over activations add up.
    pub(crate) fn walk_reduce(&self) -> Reduce {
        if self.any_walk(|rows| rows.lanes < self.workgroup) {
            Reduce::Apart
        } else {
            self.reduce
        }
    }

    /// Whether lanes that walk along rows take several slots in turns.
    pub(crate) fn in_turns(&self) -> bool {
        self.any_walk(|rows| rows.turns > 1)
    }

    /// Whether any window has such rows, which lanes walk along instead of holding them.
    fn any_walk(&self, is_such: impl Fn(&Rows) -> bool) -> bool {
        let walks = |cut: &Cut| match &cut.geometry {
            Geometry::Rows(rows) => is_such(rows),
            Geometry::Columns(_) => false,
        };
        !matches!(self.form, Form::HeldRows(_)) && self.cuts.iter().any(walks)
    }

    /// The grid for so many workgroups that have nothing to do with the windows.
    pub(crate) fn grid(&self, groups: u32) -> Result<[u32; 2]> {
        fold(groups.into(), self.max_groups)
    }

    /// How many gains there are, unless every element of a slot has its own.
    pub(crate) fn gain_count(&self) -> u32 {
        match self.gains {
            Gains::Period(gains) => gains as u32,
            _ => self.count,
        }
    }

    /// The words that a state needs before its gates, with so many saved vectors and the partials of this
    /// plan: see shaders/lib/state.wgsl.
    pub(crate) fn state_len(&self, saved: usize) -> usize {
        let (shares, inner) = self.gain_shares().unwrap_or_default();
        let partials = self.slots as usize * self.partials as usize;
        4 * (1 + saved + partials.max(shares as usize * inner as usize))
    }

    /// Where a resident backward sums up the gradients of gains that each element of a row has: how many
    /// runs of lanes leave such sums, and the elements of a row. None where there would be so many that
    /// another pass over the rows is better.
    pub(crate) fn gain_shares(&self) -> Option<(u32, u32)> {
        if self.strategy != Strategy::Resident || self.gains != Gains::Elements {
            return None;
        }
        let [cut] = self.cuts.as_slice() else {
            return None;
        };
        let Geometry::Rows(rows) = &cut.geometry else {
            return None;
        };
        let shares = cut.groups * (self.workgroup / rows.lanes);
        (shares <= MAX_GAIN_SHARES).then_some((shares, rows.inner))
    }

    /// Why the strategy that the options force does not apply to a view, if it does not.
    pub(crate) fn refusal(
        reduction: Reduction,
        options: PlanOptions,
        limits: &Limits,
    ) -> Result<Option<&'static str>> {
        let folded = reduction.folded();
        let room = Room::of(reduction.dtype, limits);
        match options.strategy {
            Some(Strategy::SplitColumns) if !folded.is_columns() => Ok(Some(
                "it needs more than one channel, and the channels last",
            )),
            Some(Strategy::SplitColumns)
                if folded.view.count.saturating_add(room.alignment) > room.max =>
            {
                Ok(Some("a row of all channels does not fit one binding"))
            }
            Some(Strategy::SplitColumns)
                if !Words::of(reduction.dtype, false).are_all_writable() =>
            {
                let columns = Self::new(reduction, Pass::Flat, options, limits);
                // What is too large is said where it is planned.
                let applies = |plan: Plan| plan.strategy == Strategy::SplitColumns;
                let odd = "an odd number of 16-bit elements does not fill its words";
                Ok((!columns.map_or(true, applies)).then_some(odd))
            }
            Some(Strategy::Resident) => {
                let backward = Self::new(reduction, Pass::Backward, options, limits)?;
                let fits = backward.strategy == Strategy::Resident;
                let few = "its channels do not fit the registers of a workgroup in whole words";
                Ok((!fits).then_some(few))
            }
            _ => Ok(None),
        }
    }
}

/// The most elements of a tensor; what matters is that sizes in bytes fit a u64.
const MAX_ELEMENTS: u64 = 1 << 40;
/// The most channels of a tensor, since the kernels count their saved statistics in u32.
const MAX_SLOTS: u64 = 1 << 28;

/// The most words of gates: a binding holds no more.
const MAX_GATES: u64 = 1 << 30;
/// The most runs of lanes that leave sums for the gradients of gains.
const MAX_GAIN_SHARES: u32 = 8192;

fn bounded(name: &'static str, needed: u64, limit: u64) -> Result<u32> {
    match u32::try_from(needed) {
        Ok(value) if needed <= limit => Ok(value),
        // A tensor may have more elements than a u32 can count; nobody asks for their number.
        Err(_) if needed <= limit => Ok(u32::MAX),
        _ => Err(Error::TooLarge {
            name,
            needed,
            limit,
        }),
    }
}

#[cfg(test)]
mod tests;
