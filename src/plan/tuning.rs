//! What suits a class of device, and the bounds that keep every device right.

use super::{Pass, Word};
use crate::View;
use crate::gpu::DeviceClass;

/// What suits a class of device. The two pull apart: measured on lavapipe, one 8-lane subgroup
/// that streams is up to 1.7 times faster than a wide workgroup, and few slices faster than many.
pub(crate) struct Tuning {
    pub(crate) class: DeviceClass,
    /// Invocations in a workgroup, a power of two.
    pub(crate) workgroup: u32,
    /// Words of a row that a workgroup of split columns takes at the most: a GPU wants whole cache
    /// lines, and no more columns than that to merge. A software driver wants long runs of
    /// memory, with several words of a row for each lane: pieces of 128 bytes of a longer row cost it
    /// 2.5 times as much as whole rows (measured), and 16 words in loops of 4 are still unrolled.
    pub(crate) tile_words: usize,
    /// The same where those would leave more partial results than a lane can merge: of half the columns
    /// it merges twice as many, and its longer walk leaves half. Also the most words of several copies of
    /// the channels: of 50 channels 100 words take a software driver some 5 % longer than 50.
    pub(crate) narrow_tile_words: usize,
    /// Lanes side by side in a tile of split columns, at the most.
    pub(crate) tile_lanes: usize,
    /// Workgroups of the resident strategy: the sizes to choose from, smallest first.
    resident_workgroups: &'static [usize],
    /// Elements of a row that lanes of resident columns read side by side, at the least.
    pub(crate) held_tile_least: usize,
    /// Words that a resident lane should hold where the slot leaves a choice.
    pub(crate) held_wanted: usize,
    /// Lanes that share a resident slot, at the least.
    pub(crate) least_lanes: usize,
    /// Bytes of a row up to which each lane of split rows has slots of its own, and where it reads dy too.
    apart_bytes: [usize; 2],
    /// Bytes of a slot up to which it does so where it reads x alone: pivots cost short slots most.
    apart_slot_bytes: usize,
    /// Workgroups that fill the device.
    pub(crate) target_groups: usize,
    /// Words that are worth a workgroup of their own.
    min_words: usize,
    /// Words that split columns must read for each partial that the second dispatch reads again:
    /// every workgroup merges all partials of its columns, which would soon cost more than the
    /// words. A software driver takes for one as long as for eight words, and 5 % of the whole are
    /// enough.
    pub(crate) words_per_partial: usize,
}

/// The most words that one lane may read. A lane of lavapipe silently stops after 65,535 loop
/// iterations in all.
pub(crate) const MAX_LANE_WORDS: usize = 16_384;
/// The most partial results of one slot: a single lane of split columns may have to merge them all
/// for several columns.
pub(crate) const MAX_PARTIALS: usize = 4096;
/// The most partial results that one lane may merge, for the same reason.
pub(crate) const MAX_MERGED: usize = 12_000;
/// The most loop iterations of a resident lane in all of its turns, for the same reason: it goes over
/// the words that it holds some eight times, where that is not unrolled, and adds up.
const MAX_TURN_LOOPS: usize = 49_152;
/// The most partial results, and the most samples, that one lane may fold into those of a gain or a
/// channel.
pub(crate) const MAX_FOLDED: usize = 49_152;
/// The most slots that a lane takes in turns: `TURNS` of `shaders/lib/turns_many.wgsl`.
pub(crate) const MAX_TURNS: usize = 32;
/// Bytes that a workgroup with as many slots reads on before it goes to the next row of them.
const RUN_BYTES: usize = 131_072;
/// Words of a row that are worth a turn, and so many that the end of a loop does not count.
const LEAST_ROW_WORDS: usize = 4;
const LONG_ROW_WORDS: usize = 64;
/// Words in the unit by which a slot is cut: slices begin where a GPU's memory transactions do.
pub(crate) const UNIT: usize = 32;

/// The most words that a resident lane may hold of rows, and of columns.
pub(crate) struct HeldWords {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl Tuning {
    pub(crate) fn of(class: DeviceClass) -> Self {
        match class {
            DeviceClass::Gpu => Self {
                class,
                workgroup: 256,
                tile_words: 32,
                narrow_tile_words: 32,
                tile_lanes: 32,
                resident_workgroups: &[256],
                held_tile_least: 16,
                held_wanted: 4,
                least_lanes: 32,
                apart_bytes: [0, 0],
                apart_slot_bytes: 0,
                target_groups: 1024,
                min_words: 2048,
                words_per_partial: 2,
            },
            DeviceClass::Cpu => Self {
                class,
                workgroup: 8,
                tile_words: 128,
                narrow_tile_words: 64,
                tile_lanes: 8,
                resident_workgroups: &[8],
                held_tile_least: 8,
                held_wanted: 32,
                least_lanes: 8,
                apart_bytes: [4096, 512],
                apart_slot_bytes: 16_384,
                target_groups: 8,
                min_words: 16_384,
                words_per_partial: 160,
            },
        }
    }

    /// Whether each lane of split rows takes some of so many slots for itself, of which a row and the whole
    /// have so many bytes. On lavapipe a forward of 28x28 went from 1.28 to 1.18 copies by that, one of 7x7
    /// from 1.8 to 1.4 and its backward from 5.0 to 3.4; group norm, whose short slots take their pivots side by
    /// side then, from 1.85 to 1.20. More places far apart are more than memory reads ahead: a backward, with three
    /// tensors, takes 1.8 instead of 2.4 copies of 28x28 and 2.1 instead of 2.6 of 14x14 where lanes walk together.
    pub(crate) fn are_apart(&self, slots: usize, [row, slot]: [usize; 2], pass: Pass) -> bool {
        // No lane may go without a slot.
        let idles = !slots.is_multiple_of(self.workgroup as usize);
        let is_short = slot <= self.apart_slot_bytes && !pass.reads_dy();
        !idles && (self.is_short_row(row, pass) || is_short)
    }

    fn is_short_row(&self, bytes: usize, pass: Pass) -> bool {
        bytes <= self.apart_bytes[usize::from(pass.reads_dy())]
    }

    /// How many slots of a view each lane takes in turns where so many walk along one, so that a workgroup goes
    /// through the memory on and on; there are no fewer workgroups than processors. On lavapipe that takes a
    /// backward of 7x7 from 4.2 to 2.9 copies and one of 14x14 from 3.0 to 2.5; a forward is hardly faster on a
    /// quiet machine, but no slower while others use the memory, where it went from 2.4 to 1.7 and from 1.9 to 1.4.
    /// 56x56, whose rows all lanes walk along together, went from 0.92, 1.4 and 2.0 to 0.73, 1.2 and 1.7. Of short
    /// rows lanes together that take turns are slower, at 1.3, 2.4 and 3.8 copies of 7x7 where lanes apart take
    /// 1.0, 1.9 and 2.9.
    pub(crate) fn walk_turns(
        &self,
        view: View,
        slot_words: usize,
        row_bytes: usize,
        walkers: usize,
        pass: Pass,
    ) -> usize {
        let is_one_row = view.outer == 1 || slot_words < LEAST_ROW_WORDS * view.outer;
        let is_short = self.is_short_row(row_bytes, pass);
        if is_one_row || self.class == DeviceClass::Gpu || is_short != (walkers == 1) {
            return 1;
        }
        let beside = self.workgroup as usize / walkers;
        let side_by_side = view.count / beside;
        let near = RUN_BYTES / beside / row_bytes;
        let keeps_busy = |turns: &usize| {
            let blocks = side_by_side / turns;
            let words = slot_words * beside * turns;
            side_by_side.is_multiple_of(*turns)
                && blocks * self.slices(blocks, words) >= self.target_groups
        };
        let most = near.min(MAX_TURNS).min(side_by_side);
        (1..=most).rev().find(keeps_busy).unwrap_or(1)
    }

    /// Rows of a slot that a lane walks along before its next slot's turn: some 50 words of a forward, and no more
    /// of a backward than memory reads ahead of in its three tensors. Where rows are short, so many as fill the
    /// kernels' loops of four and of two words: 14x14 takes 1.26 copies forward in pieces of four rows, and 1.45 in
    /// single ones.
    pub(crate) fn piece_rows(pass: Pass, row_words: usize) -> usize {
        let [words, at_once]: [usize; 2] = if pass.reads_dy() { [24, 2] } else { [48, 4] };
        let least = words.div_ceil(row_words);
        let fills = |rows: &usize| (rows * row_words).is_multiple_of(at_once);
        let is_long = row_words > LONG_ROW_WORDS;
        let mut some = least..least + at_once;
        some.find(|rows| is_long || fills(rows)).unwrap_or(least)
    }

    /// The most words that a resident lane may hold of x, and in a backward as many of dy: on a GPU
    /// 128 bytes of registers in all, on a software driver what it still compiles fast. Columns of 64 words take
    /// lavapipe 1.3 and 1.8 copies of 128x1024, where split ones take 1.7 and 2.4, and a second each to compile;
    /// of 128 words 2 s forward and 3 s backward. Rows of 64 words would take 1.1 instead of 1.9 copies of
    /// 4096x2048 forward, but their backward 15 s to compile where gains have sums.
    pub(crate) fn held_words(&self, word: Word, pass: Pass) -> HeldWords {
        let words = match (self.class, pass) {
            (DeviceClass::Cpu, _) => {
                return HeldWords {
                    rows: 32,
                    columns: 64,
                };
            }
            (DeviceClass::Gpu, pass) if pass.reads_dy() => 4,
            (DeviceClass::Gpu, _) => 8,
        };
        let words = words * Word::WIDEST / word.width();
        HeldWords {
            rows: words,
            columns: words,
        }
    }

    /// The lanes of the largest resident workgroup.
    pub(crate) fn most_lanes(&self) -> usize {
        self.resident_workgroups.last().map_or(1, |&lanes| lanes)
    }

    /// The workgroup for that many lanes, and how many such runs of lanes share it.
    pub(crate) fn resident_workgroup(&self, lanes: usize) -> Option<(usize, usize)> {
        let fits = self.resident_workgroups.iter().find(|&&size| size >= lanes);
        fits.map(|&size| (size, size / lanes))
    }

    /// How many of so many slots a resident workgroup takes one after the other, where a lane holds so
    /// many words. A software driver takes some microsecond for a workgroup, as long as for 1 KiB; where
    /// elements have gains, those are read once for all turns and their sums left once.
    pub(crate) fn turns(&self, slots: usize, held: usize, gained: bool) -> usize {
        let groups = match self.class {
            DeviceClass::Gpu if !gained => return 1,
            DeviceClass::Gpu => self.target_groups,
            DeviceClass::Cpu => 4 * self.target_groups,
        };
        (slots / groups).clamp(1, MAX_TURN_LOOPS / (8 * held + 20))
    }

    /// Into how many slices to cut the words of each of `count` equal parts.
    pub(crate) fn slices(&self, count: usize, words: usize) -> usize {
        let to_fill = self.target_groups.div_ceil(count);
        to_fill.min(words / self.min_words).max(1)
    }
}
