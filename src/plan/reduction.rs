//! What is reduced, and whose statistics and gains are whose.

use super::bounded;
use super::tuning::{MAX_FOLDED, MAX_MERGED};
use crate::gpu::DType;
use crate::{Result, View};

/// What is reduced: a view, and how its slots stand to statistics and gains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reduction {
    pub(crate) view: View,
    /// So many slots, side by side, have one statistic in common.
    pub(crate) fan: usize,
    pub(crate) gains: Gains,
    /// The type of the activations.
    pub(crate) dtype: DType,
}

/// Who has a gain (gamma and beta) of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gains {
    /// Each slot of a batch entry.
    Slots,
    /// So many slots, which begin again with every such number of them.
    Period(usize),
    /// Each element of a slot.
    Elements,
    /// Each slot, whose elements have the statistics of the rows that they lie in.
    Across,
}

impl Reduction {
    /// Slots of f32 with a statistic and a gain of their own.
    pub(crate) fn of_slots(view: View) -> Self {
        Self {
            view,
            fan: 1,
            gains: Gains::Slots,
            dtype: DType::F32,
        }
    }

    /// The same with as few dimensions as the memory allows: entries of one row are more slots, and a
    /// single slot is one long row, wherever its axis lies.
    pub(super) fn folded(self) -> Self {
        if self.gains == Gains::Across {
            return self;
        }
        let whole = self.view;
        let view = if whole.outer == 1 || whole.count == 1 {
            View {
                batch: 1,
                outer: 1,
                count: whole.slots(),
                inner: whole.slot_len(),
            }
        } else {
            whole
        };
        Self { view, ..self }
    }

    /// Whether so many lanes can merge the slots of one statistic, and fold those of one gain.
    pub(super) fn bounded(&self, lanes: u32) -> Result<()> {
        let most = |of_a_lane: usize| of_a_lane as u64 * u64::from(lanes);
        bounded("channels of a group", self.fan as u64, most(MAX_MERGED))?;
        bounded("samples", self.samples() as u64, most(MAX_FOLDED))?;
        Ok(())
    }

    /// How many slots have one gain.
    pub(super) fn samples(&self) -> usize {
        match self.gains {
            Gains::Period(gains) => self.view.slots() / gains,
            _ => 1,
        }
    }

    /// Whether the slots lie side by side, so that lanes may lie along them.
    pub(super) fn is_columns(&self) -> bool {
        match self.gains {
            Gains::Slots | Gains::Period(_) => self.view.inner == 1 && self.view.count > 1,
            Gains::Elements => false,
            Gains::Across => true,
        }
    }
}
