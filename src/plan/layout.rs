//! The choice of a strategy, a word and a geometry for a view.

use super::columns::Tile;
use super::resident::Resident;
use super::rows::Walk;
use super::tuning::{MAX_FOLDED, MAX_LANE_WORDS, MAX_MERGED, MAX_PARTIALS, Tuning};
use super::windows::Window;
use super::word::Words;
use super::{Columns, Form, Gains, Geometry, Pass, PlanOptions, Reduction, Rows, Strategy, Word};
use crate::gpu::DeviceClass;

/// How every window of a view is worked on.
pub(super) struct Layout {
    pub(super) strategy: Strategy,
    pub(super) word: Word,
    pub(super) form: Form,
    pub(super) workgroup: u32,
    /// One for each window.
    pub(super) geometries: Vec<Geometry>,
    /// Partial results of one slot, and how many are allowed.
    pub(super) partials: u64,
    pub(super) max_partials: u64,
}

/// What the choice depends on.
pub(super) struct Chooser<'a> {
    pub(super) reduction: Reduction,
    pub(super) windows: &'a [Window],
    pub(super) pass: Pass,
    pub(super) tuning: &'a Tuning,
    pub(super) words: Words,
}

/// Words of a row that a workgroup of split columns takes at the least where the row has as many: on
/// lavapipe 256x1024 takes 1.53 copies forward in eight such blocks, 1.60 in four of twice as many and 1.65 in two;
/// 2.9, 2.5 and 2.5 backward.
const LEAST_TILE_WORDS: usize = 32;
/// Elements of all that a pass reads that a processor's cache holds, up to which it does not matter where memory is
/// read on: 3136x512 takes 3.2 copies backward in sixteen blocks of so few words and 1.8 in one.
const SMALL: usize = 1 << 19;

/// Elements of a tensor up to which one dispatch is better than two, whatever its words.
const TINY: usize = 32_768;

const fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Chooser<'_> {
    pub(super) fn layout(&self, options: PlanOptions) -> Layout {
        match options.strategy {
            Some(Strategy::SplitRows) => self.split_rows(),
            Some(Strategy::SplitColumns) => match self.columns_word() {
                Some(word) => self.split_columns(word),
                None => self.split_rows(),
            },
            Some(Strategy::Resident) => self.resident().unwrap_or_else(|| self.split()),
            None => self
                .resident()
                .filter(|layout| self.is_worth(layout))
                .unwrap_or_else(|| self.split()),
        }
    }

    /// Whether to read the input once is worth narrow loads, which cost a software driver as much as
    /// wide ones.
    fn is_worth(&self, layout: &Layout) -> bool {
        layout.word == self.words.wide
            || self.tuning.class == DeviceClass::Gpu
            || self.reduction.view.numel() <= TINY
    }

    fn split(&self) -> Layout {
        let count = self.reduction.view.count;
        let whole = |window: &Window| window.view.count == count;
        match self.columns_word() {
            Some(word) if self.reduction.is_columns() && self.windows.iter().all(whole) => {
                self.split_columns(word)
            }
            _ => self.split_rows(),
        }
    }

    fn resident(&self) -> Option<Layout> {
        let [window] = self.windows else {
            return None;
        };
        let whole = self.reduction.fan == 1 && self.reduction.gains != Gains::Across;
        let passes = [Pass::Forward, Pass::Backward, Pass::Gated];
        if !whole || !passes.contains(&self.pass) {
            return None;
        }
        let view = self.reduction.view;
        let Words { wide, narrow, .. } = self.words;
        let resident = if self.reduction.is_columns() {
            let size = self.reduction.dtype.size();
            Resident::columns(window, [wide, narrow], size, self.pass, self.tuning)
        } else {
            // A word has one owner, so no two slots of a resident plan may share one.
            let fills = |word: &Word| view.inner.is_multiple_of(word.width());
            let word = [wide, narrow].into_iter().find(fills)?;
            Resident::rows(window, word, self.pass, self.reduction.gains, self.tuning)
        }?;
        Some(Layout {
            strategy: Strategy::Resident,
            word: resident.word,
            form: resident.form,
            workgroup: resident.workgroup,
            geometries: vec![resident.geometry],
            // What is summed over slots later is left as one partial of each.
            partials: u64::from(matches!(self.reduction.gains, Gains::Period(_))),
            max_partials: self.max_folded(resident.workgroup) as u64,
        })
    }

    /// In rows a word may straddle two slots, but no more.
    fn split_rows(&self) -> Layout {
        let view = self.reduction.view;
        let word = if self.has_wide_rows() {
            self.words.wide
        } else {
            self.words.narrow
        };
        let lanes = self.tuning.workgroup;
        let form = if view.inner.is_multiple_of(word.width()) {
            Form::Whole
        } else {
            Form::Ragged
        };
        let walk = self.walk(word, form);
        let max_merged = MAX_MERGED * walk.walkers / (self.reduction.fan * walk.turns);
        let max_partials = max_merged.min(self.max_folded(lanes));
        let most = (max_partials / self.parts()).max(1);
        let of = |window: &Window| Rows::slices(window.view, word, form, self.tuning, walk, most);
        let slices = self.windows.iter().map(of).max().unwrap_or(1);
        let new = |window| Geometry::Rows(Rows::new(window, word, form, slices, walk, lanes));
        self.with_all_partials(Layout {
            strategy: Strategy::SplitRows,
            word,
            form,
            workgroup: lanes,
            geometries: self.windows.iter().map(new).collect(),
            partials: 1,
            max_partials: max_partials as u64,
        })
    }

    /// Who walks along the slots of split rows: each lane along slots of its own, if it can merge what it has to,
    /// or all along one after the other, in turns.
    fn walk(&self, word: Word, form: Form) -> Walk {
        let lanes = self.tuning.workgroup as usize;
        let most = self.turns(word, form, 1);
        let apart = (1..=most)
            .rev()
            .find(|turns| most.is_multiple_of(*turns) && self.are_apart(word, form, *turns));
        let [walkers, turns] = match apart {
            Some(turns) => [1, turns],
            None => [lanes, self.turns(word, form, lanes)],
        };
        let row_words = Rows::row_words(self.reduction.view.inner, word, form);
        let piece_rows = Tuning::piece_rows(self.pass, row_words.div_ceil(walkers));
        Walk {
            walkers,
            turns,
            piece_words: if turns == 1 {
                usize::MAX
            } else {
                piece_rows * row_words
            },
        }
    }

    /// Whether each lane of split rows has so many slots of its own, and can merge what it has to.
    fn are_apart(&self, word: Word, form: Form, turns: usize) -> bool {
        let view = self.reduction.view;
        let bytes = [view.inner, view.slot_len()].map(|n| self.bytes(n));
        let most = (MAX_MERGED / self.reduction.fan).min(self.max_folded(self.tuning.workgroup));
        let fits = |window: &Window| {
            let words = turns * Rows::slot_words(window.view, word, form);
            let merges = turns * words.div_ceil(MAX_LANE_WORDS) * self.parts() <= most;
            let slots = window.view.count;
            merges && self.tuning.are_apart(slots, bytes, self.pass)
        };
        self.windows.iter().all(fits)
    }

    /// How many slots a lane takes in turns at the most, in all windows, where so many walk along one.
    fn turns(&self, word: Word, form: Form, walkers: usize) -> usize {
        let row_bytes = self.bytes(self.reduction.view.inner);
        let turns = |window: &Window| {
            let slot_words = Rows::slot_words(window.view, word, form);
            self.tuning
                .walk_turns(window.view, slot_words, row_bytes, walkers, self.pass)
        };
        if self.reduction.fan > 1 || self.parts() > 1 {
            return 1;
        }
        self.windows.iter().map(turns).reduce(gcd).unwrap_or(1)
    }

    fn bytes(&self, elements: usize) -> usize {
        elements.saturating_mul(self.reduction.dtype.size() as usize)
    }

    /// Whether rows can be read in wide words: such a word may straddle a slot and its next, but neither two
    /// batch entries nor, where every element has a gain of its own, two slots.
    fn has_wide_rows(&self) -> bool {
        let Reduction { view, gains, .. } = self.reduction;
        let width = self.words.wide.width();
        let straddles = !view.inner.is_multiple_of(width);
        let alone = view.batch == 1 && gains != Gains::Elements;
        view.numel().is_multiple_of(width) && view.inner >= width && (alone || !straddles)
    }

    /// Columns need whole words in every window. An odd number of 16-bit elements has none; sums across
    /// rows write no activation, and so may take one element at a time.
    fn columns_word(&self) -> Option<Word> {
        let across = self.reduction.gains == Gains::Across;
        let fills = |word: &Word| {
            let fills = |window: &Window| {
                let rows = if across { 1 } else { window.view.slot_len() };
                (rows * window.view.count).is_multiple_of(word.width())
                    && window.start.is_multiple_of(word.width() as u64)
            };
            self.windows.iter().all(fills)
        };
        let Words {
            wide,
            narrow,
            single,
        } = self.words;
        let words = [wide, narrow, if across { single } else { narrow }];
        words.into_iter().find(fills)
    }

    fn split_columns(&self, word: Word) -> Layout {
        let Tuning {
            tile_words,
            narrow_tile_words,
            ..
        } = *self.tuning;
        let wide = self.columns_of(word, tile_words);
        if wide.partials > wide.max_partials && narrow_tile_words < tile_words {
            return self.columns_of(word, narrow_tile_words);
        }
        // Few long rows: more blocks of them, which leave no more to merge, keep all processors busy.
        let tensors = 1 + usize::from(self.pass.reads_dy());
        let target = self.tuning.target_groups / tensors;
        let is_small = tensors * self.reduction.view.numel() <= SMALL;
        let is_long = self.reduction.view.count > LEAST_TILE_WORDS * word.width();
        let cuts = wide.geometries.iter().zip(self.windows);
        let groups = cuts.map(|(geometry, window)| geometry.groups(window.view.count));
        let groups = groups.min().unwrap_or(0) as usize;
        let is_cut = wide.geometries.iter().any(Geometry::is_cut);
        let across = self.reduction.gains == Gains::Across;
        if is_small && is_long && groups < target && !is_cut && !across {
            let words = (tile_words * groups / target).max(LEAST_TILE_WORDS);
            return self.columns_of(word, words.min(tile_words));
        }
        wide
    }

    fn columns_of(&self, word: Word, most_words: usize) -> Layout {
        let tile = Tile::new(&self.reduction, self.windows, word, self.tuning, most_words);
        let merges = self.pass != Pass::Flat;
        let max_merged = tile.max_merged(word, self.tuning);
        let max_partials = max_merged.min(self.max_folded(self.tuning.workgroup));
        let most = (max_partials / (self.parts() * tile.copies)).max(1);
        let of = |window: &Window| tile.slices(window.view, word, self.tuning, merges, most);
        let slices = self.windows.iter().map(of).max().unwrap_or(1);
        let new = |window| Geometry::Columns(Columns::new(window, word, tile, slices));
        self.with_all_partials(Layout {
            strategy: Strategy::SplitColumns,
            word,
            form: Form::Span(tile.span()),
            workgroup: self.tuning.workgroup,
            geometries: self.windows.iter().map(new).collect(),
            partials: tile.copies as u64,
            max_partials: max_partials as u64,
        })
    }

    /// The most partials of a slot of which so many lanes can add up those of all slots with one gain.
    fn max_folded(&self, lanes: u32) -> usize {
        match self.reduction.samples() {
            0 | 1 => MAX_PARTIALS,
            samples => MAX_PARTIALS.min(MAX_FOLDED * lanes as usize / samples),
        }
    }

    /// How many windows there are of each slot.
    fn parts(&self) -> usize {
        let last = self.windows.iter().map(|window| window.part).max();
        1 + last.unwrap_or(0)
    }

    /// The layout with the partials of all slices instead of one's.
    fn with_all_partials(&self, layout: Layout) -> Layout {
        let slices = layout.geometries.iter().map(Geometry::slices_end).max();
        let merged = if self.pass == Pass::Flat {
            None
        } else {
            slices
        };
        Layout {
            partials: layout.partials * u64::from(merged.unwrap_or(0)),
            ..layout
        }
    }
}
