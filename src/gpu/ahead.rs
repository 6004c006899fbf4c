//! How far a caller that only submits gets ahead of the device.
//!
//! wgpu takes any number of submissions, and keeps for each its commands and what was uploaded before it
//! until it has run. A loop that records faster than the device computes, and never downloads, would
//! take memory without end.

use std::collections::VecDeque;

/// Submissions that may be under way. More would not keep a device busier, also where each is a small
/// layer of its own.
const MOST: usize = 64;
/// Bytes of uploads that may be under way with them.
const MOST_BYTES: u64 = 256 << 20;
/// Submissions that may be under way however much was uploaded: one that runs and one that is next.
const FEWEST: usize = 2;

/// The submissions that may not have run yet, oldest first.
#[derive(Debug)]
pub(super) struct Ahead<S> {
    under_way: VecDeque<(S, u64)>,
    bytes: u64,
    /// What was uploaded since the last submission, and goes with the next.
    uploaded: u64,
}

impl<S> Default for Ahead<S> {
    fn default() -> Self {
        Self {
            under_way: VecDeque::new(),
            bytes: 0,
            uploaded: 0,
        }
    }
}

impl<S> Ahead<S> {
    pub(super) fn upload(&mut self, bytes: u64) {
        self.uploaded = self.uploaded.saturating_add(bytes);
    }

    /// Takes a submission, and returns one that has to have run before the next is made.
    pub(super) fn submit(&mut self, submission: S) -> Option<S> {
        let bytes = std::mem::take(&mut self.uploaded);
        self.bytes = self.bytes.saturating_add(bytes);
        self.under_way.push_back((submission, bytes));
        let mut due = None;
        while self.is_far() {
            let (submission, bytes) = self.under_way.pop_front()?;
            self.bytes = self.bytes.saturating_sub(bytes);
            due = Some(submission);
        }
        due
    }

    fn is_far(&self) -> bool {
        let count = self.under_way.len();
        count > MOST || (count > FEWEST && self.bytes > MOST_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::{Ahead, MOST, MOST_BYTES};

    #[test]
    fn submissions_are_bounded_in_number() {
        let mut ahead = Ahead::default();
        for i in 0..1000usize {
            assert_eq!(ahead.submit(i), i.checked_sub(MOST));
            assert!(ahead.under_way.len() <= MOST);
        }
    }

    #[test]
    fn submissions_are_bounded_by_what_was_uploaded_for_them() {
        let mut ahead = Ahead::default();
        // Five of them are below the bound.
        for i in 0..1000usize {
            ahead.upload(MOST_BYTES / 10);
            ahead.upload(MOST_BYTES / 12);
            assert_eq!(ahead.submit(i), i.checked_sub(5));
        }
        for i in 1000..1064usize {
            ahead.submit(i);
        }
        assert_eq!((ahead.bytes, ahead.uploaded), (0, 0));
    }

    #[test]
    fn two_submissions_are_under_way_however_large() {
        let mut ahead = Ahead::default();
        for i in 0..1000usize {
            ahead.upload(u64::MAX / 4);
            ahead.upload(u64::MAX);
            assert_eq!(ahead.submit(i), i.checked_sub(2));
        }
    }
}
