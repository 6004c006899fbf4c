//! In which orders probes walk the memory, and how they cut it.

use crate::case::{Case, Layout};

/// Where pieces are at least this long, their order costs nothing.
const LONG_BYTES: usize = 4096;

/// What a group of the planner's for software drivers reads on at the most before it goes to the next row of
/// all channels, and how many channels it has.
const BLOCK_BYTES: usize = 131_072;
const MOST_CHANNELS: usize = 256;

/// In which order a probe walks the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Each group streams a run of its own.
    Sequential,
    /// Each group goes from piece to piece of one channel, as a reduction over it must.
    Channels,
    /// Each group does so for a block of neighbouring channels, whose pieces are one.
    Blocks,
}

impl Order {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sequential => "sequential",
            Self::Channels => "channels",
            Self::Blocks => "blocks",
        }
    }

    /// The orders to time for a case, that of the memory first; a strategy may take the fastest of the
    /// others, if there are any.
    pub(crate) fn of(case: &Case, lanes: usize, is_cpu: bool) -> Vec<Self> {
        let inner = inner(case);
        let in_pieces = case.layout == Layout::ChannelsFirst && inner > 1 && case.channels() > 1;
        if in_pieces && inner * (case.dtype.size() as usize) < LONG_BYTES {
            let mut orders = vec![Self::Sequential, Self::Channels];
            // A GPU's lanes share a channel.
            if is_cpu && case.channels().is_multiple_of(lanes) {
                orders.push(Self::Blocks);
            }
            orders
        } else {
            vec![Self::Sequential]
        }
    }
}

fn inner(case: &Case) -> usize {
    case.dims.0[2..].iter().product()
}

/// The channels of a block.
fn block(case: &Case) -> usize {
    let most = (BLOCK_BYTES / (inner(case) * case.dtype.size() as usize)).clamp(1, MOST_CHANNELS);
    let divides = |channels: &usize| case.channels().is_multiple_of(*channels);
    (1..=most).rev().find(divides).unwrap_or(1)
}

/// How the groups of a probe cut a tensor; in elements but for what is named words.
pub(crate) struct Walk {
    slots: usize,
    outer: usize,
    inner: usize,
    lanes: usize,
}

impl Walk {
    pub(crate) fn new(case: &Case, order: Order, lanes: usize) -> Self {
        let dims = &case.dims.0;
        let numel = case.device_shape().numel();
        let of_blocks = |channels| [dims[1] / channels, dims[0], channels * inner(case)];
        let [slots, outer, inner] = match order {
            Order::Sequential => [1, 1, numel.next_multiple_of(4)],
            Order::Channels => of_blocks(1),
            Order::Blocks => of_blocks(block(case)),
        };
        Self {
            slots,
            outer,
            inner,
            lanes,
        }
    }

    pub(crate) fn is_ragged(&self) -> bool {
        !self.inner.is_multiple_of(4)
    }

    /// The parameters as the kernels have them, and how many groups that is.
    pub(crate) fn params(&self, busy: usize, max_groups: usize) -> ([u32; 12], [u32; 2]) {
        let around = if self.is_ragged() { 6 } else { 0 };
        let row_words = (self.inner + around) / 4;
        let slot_words = self.outer * row_words;
        // A lane has four words in flight.
        let most = slot_words.div_ceil(4 * self.lanes);
        let slices = busy.div_ceil(self.slots).clamp(1, most);
        let slice_words = slot_words.div_ceil(slices).next_multiple_of(32);
        let slices = slot_words.div_ceil(slice_words);
        let groups = self.slots * slices;
        let height = groups.div_ceil(max_groups);
        let width = groups.div_ceil(height);
        let row_stride = self.slots * self.inner;
        let params = [
            width,
            groups,
            slices,
            slice_words,
            self.inner,
            row_words,
            row_stride,
            slot_words,
            self.lanes % row_words,
            self.lanes / row_words * row_stride,
            0,
            0,
        ];
        (params.map(|n| n as u32), [width, height].map(|n| n as u32))
    }
}
