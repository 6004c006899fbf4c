//! What a replayed pass did to the elements, slots and partials of a tensor.

use super::{Cut, Plan};
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
    counted: Vec<bool>,
    writers: Vec<Option<Lane>>,
    owned: Vec<bool>,
    partials: Vec<bool>,
}

/// Marks what must not be marked yet.
fn mark(marks: &mut [bool], i: usize, what: &str) {
    assert!(i < marks.len(), "{what} {i} does not exist");
    assert!(!marks[i], "{what} {i} once more");
    marks[i] = true;
}

impl Ledger {
    pub(super) fn new(plan: &Plan, view: View) -> Self {
        let partials = plan.partials as usize * view.count;
        assert_eq!(
            plan.state_len(plan.slots as usize),
            4 * (1 + view.count + partials)
        );
        Self {
            view,
            counted: vec![false; view.numel()],
            writers: vec![None; view.numel()],
            owned: vec![false; view.count],
            partials: vec![false; partials],
        }
    }

    pub(super) fn slot(&self, element: u64) -> u32 {
        (element as usize / self.view.inner % self.view.count) as u32
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

    /// A workgroup saves the statistics of a slot, or writes the gradients of its parameters.
    pub(super) fn own(&mut self, slot: u32) {
        mark(&mut self.owned, slot as usize, "the owner of slot");
    }

    /// A plan that merges nothing has no partials, and no kernel to leave them.
    pub(super) fn leave_partial(&mut self, index: u32) {
        if self.partials.is_empty() {
            return;
        }
        mark(&mut self.partials, index as usize, "partial");
    }

    pub(super) fn all_are_counted(&self) {
        let missing = self.counted.iter().position(|counted| !counted);
        assert_eq!(missing, None, "an element is not counted");
    }

    pub(super) fn all_partials_are_there(&self) {
        let missing = self.partials.iter().position(|left| !left);
        assert_eq!(missing, None, "a partial is missing");
    }

    pub(super) fn all_are_owned(&self) {
        let missing = self.owned.iter().position(|owned| !owned);
        assert_eq!(missing, None, "a slot has no owner");
    }

    pub(super) fn all_are_written(&self) {
        let missing = self.writers.iter().position(Option::is_none);
        assert_eq!(missing, None, "an element is not written");
    }
}
