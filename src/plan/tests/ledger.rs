//! What a replayed pass did to the elements, slots and partials of a tensor.

use super::slots::Fold;
use super::{Cut, Gains, Plan, Reduction};
use crate::View;

/// A lane among all workgroups of all windows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Lane {
    pub(super) window: u64,
    pub(super) group: u32,
    pub(super) number: u32,
}

pub(super) struct Ledger {
    view: View,
    fan: usize,
    gains: Gains,
    is_half: bool,
    counted: Vec<bool>,
    writers: Vec<Option<Lane>>,
    /// The words that a dispatch has written.
    words: Vec<bool>,
    /// Whether a statistic has an owner.
    owned: Vec<bool>,
    /// The slots that partials are of.
    partials: Vec<Option<u32>>,
}

/// Marks what must not be marked yet.
fn mark(marks: &mut [bool], i: usize, what: &str) {
    assert!(i < marks.len(), "{what} {i} does not exist");
    assert!(!marks[i], "{what} {i} once more");
    marks[i] = true;
}

impl Ledger {
    pub(super) fn new(plan: &Plan, reduction: Reduction) -> Self {
        let Reduction {
            view,
            fan,
            gains,
            dtype,
        } = reduction;
        let partials = plan.partials as usize * view.slots();
        let statistics = view.slots() / fan;
        let (shares, inner) = plan.gain_shares().unwrap_or_default();
        let vectors = 1 + statistics + partials.max(shares as usize * inner as usize);
        assert_eq!(plan.state_len(statistics), 4 * vectors);
        Self {
            view,
            fan,
            gains,
            is_half: dtype.size() == 2,
            counted: vec![false; view.numel()],
            writers: vec![None; view.numel()],
            words: Vec::new(),
            owned: vec![false; statistics],
            partials: vec![None; partials],
        }
    }

    pub(super) fn slot(&self, element: u64) -> u32 {
        let entry = self.view.slot_len() * self.view.count;
        let (batch, at) = (element as usize / entry, element as usize % entry);
        (batch * self.view.count + at / self.view.inner % self.view.count) as u32
    }

    fn statistic(&self, slot: u32) -> usize {
        slot as usize / self.fan
    }

    /// The element of the tensor that the kernel sees as that one of its binding.
    pub(super) fn element(cut: &Cut, seen: u32) -> u64 {
        assert!(u64::from(seen) < cut.len, "element {seen} of {cut:?}");
        cut.first + u64::from(seen)
    }

    /// An element of a slot enters a sum.
    pub(super) fn count(&mut self, cut: &Cut, seen: u32, slot: u32) {
        let element = Self::element(cut, seen);
        assert_eq!(self.slot(element), slot, "the slot of element {element}");
        mark(&mut self.counted, element as usize, "element");
    }

    /// A dispatch begins over a window of rows.
    pub(super) fn begin(&mut self, cut: &Cut) {
        self.words.clear();
        self.words.resize(cut.len as usize, false);
    }

    /// A word of rows is written, which nobody else may do in the same dispatch.
    pub(super) fn write_word(&mut self, word: u32) {
        mark(&mut self.words, word as usize, "word");
    }

    /// Whether the kernel sees what follows an odd number of 16-bit elements.
    pub(super) fn is_padding(&self, cut: &Cut, seen: u32) -> bool {
        let element = cut.first + u64::from(seen);
        let numel = self.view.numel() as u64;
        self.is_half && numel % 2 == 1 && element == numel
    }

    /// An element is written with the values of a slot, by the same lane as before if at all.
    pub(super) fn write(&mut self, cut: &Cut, seen: u32, slot: u32, lane: Lane) {
        let element = Self::element(cut, seen);
        assert_eq!(self.slot(element), slot, "the slot of element {element}");
        let writer = self.writers[element as usize].replace(lane);
        let same = writer.is_none_or(|writer| writer == lane);
        assert!(same, "{writer:?} and {lane:?} write element {element}");
    }

    /// The words of rows are written once even by their own lane.
    pub(super) fn write_once(&mut self, cut: &Cut, seen: u32, slot: u32, lane: Lane) {
        let element = Self::element(cut, seen);
        let writer = self.writers[element as usize];
        assert_eq!(writer, None, "{lane:?} writes element {element} once more");
        self.write(cut, seen, slot, lane);
    }

    /// An element meets that one of the gains that elements of a slot have.
    pub(super) fn gain(&self, cut: &Cut, seen: u32, gain: u32) {
        if self.gains == Gains::Elements {
            let own = Self::element(cut, seen) % self.view.inner as u64;
            assert_eq!(own, u64::from(gain), "the gain of element {seen}");
        }
    }

    /// An element meets the saved statistics of that row.
    pub(super) fn row(&self, cut: &Cut, seen: u32, row: u32) {
        if self.gains == Gains::Across {
            let own = Self::element(cut, seen) / self.view.count as u64;
            assert_eq!(own, u64::from(row), "the row of element {seen}");
        }
    }

    /// A workgroup saves a statistic, or writes the gradients of its parameters.
    pub(super) fn own(&mut self, statistic: u32) {
        mark(
            &mut self.owned,
            statistic as usize,
            "the owner of statistic",
        );
    }

    /// A plan that merges nothing has no partials, and no kernel to leave them.
    pub(super) fn leave_partial(&mut self, index: u32, slot: u32) {
        if self.partials.is_empty() {
            return;
        }
        let i = index as usize;
        assert!(i < self.partials.len(), "partial {i} does not exist");
        let left = self.partials[i].replace(slot);
        assert_eq!(left, None, "partial {i} of slot {slot} once more");
    }

    /// The merges of all statistics: `partial` gives the index of partial i of one, and the gain of its
    /// slot. Each has to be of one of the statistic's slots, and none is left out or merged twice.
    pub(super) fn merge(&self, each: u32, partial: impl Fn(u32, u32) -> (u32, u32)) {
        let mut merged = vec![false; self.partials.len()];
        for statistic in 0..self.owned.len() as u32 {
            for i in 0..each {
                let (index, gain) = partial(statistic, i);
                mark(&mut merged, index as usize, "the merged partial");
                let slot = self.partials[index as usize].expect("a partial that was left");
                assert_eq!(self.statistic(slot), statistic as usize, "of slot {slot}");
                if let Gains::Period(gains) = self.gains {
                    assert_eq!(gain as usize, slot as usize % gains, "of slot {slot}");
                }
            }
        }
        assert!(merged.iter().all(|&merged| merged), "a partial is lost");
    }

    /// The sums over the slots of each gain, where several have one.
    pub(super) fn fold(&self, fold: &Fold) {
        let Gains::Period(gains) = self.gains else {
            return;
        };
        assert_eq!(fold.count as usize, gains);
        assert_eq!((fold.count * fold.batches) as usize, self.view.slots());
        let mut folded = vec![false; self.partials.len()];
        for gain in 0..fold.count {
            for i in 0..fold.gain_partials() {
                let index = fold.gain_partial(gain, i) as usize;
                mark(&mut folded, index, "the folded partial");
                let slot = self.partials[index].expect("a partial that was left");
                assert_eq!(slot % fold.count, gain, "of slot {slot}");
            }
        }
        assert!(folded.iter().all(|&folded| folded), "a partial is lost");
    }

    pub(super) fn all_are_counted(&self) {
        let missing = self.counted.iter().position(|counted| !counted);
        assert_eq!(missing, None, "an element is not counted");
    }

    pub(super) fn all_partials_are_there(&self) {
        let missing = self.partials.iter().position(Option::is_none);
        assert_eq!(missing, None, "a partial is missing");
    }

    pub(super) fn all_are_owned(&self) {
        let missing = self.owned.iter().position(|owned| !owned);
        assert_eq!(missing, None, "a statistic has no owner");
    }

    pub(super) fn all_are_written(&self) {
        let missing = self.writers.iter().position(Option::is_none);
        assert_eq!(missing, None, "an element is not written");
    }
}
