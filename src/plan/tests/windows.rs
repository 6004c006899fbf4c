//! Tensors larger than one binding.

use super::{Cpu, Gpu, Limits, Pass, Plan, PlanOptions, Strategy, View};
use super::{forced, invariants, limits, slots, view};
use crate::plan::windows;

/// Room for so many f32.
fn room(max: usize) -> windows::Room {
    windows::Room { max, alignment: 64 }
}

/// How a view may be cut into windows.
#[derive(Debug, PartialEq)]
enum Kind {
    ByEntries,
    ByRows,
    BySlots,
    WithinSlots,
}

/// Checks that windows follow each other; returns how they are cut.
fn cut(view: View, max: usize) -> Kind {
    cut_entries(view, max, true)
}

fn cut_entries(view: View, max: usize, apart: bool) -> Kind {
    let windows = windows::cut(view, room(max), apart);
    let entry = view.slot_len() * view.count;
    let mut next = 0;
    for window in &windows {
        assert_eq!(window.start, next, "{window:?}");
        next += window.view.numel() as u64;
        assert!(window.view.numel() > 0, "an empty {window:?}");
        let shown = window.view.numel() + window.shift() as usize;
        assert!(shown <= max, "{shown} elements of {window:?}");
        assert!(window.first_slot + window.view.slots() <= view.slots());
        let (batch, at) = (window.start as usize / entry, window.start as usize % entry);
        let slot = batch * view.count + at / view.inner % view.count;
        assert_eq!(window.first_slot, slot, "{window:?}");
        if window.view.batch > 1 {
            assert!(!apart, "several entries in {window:?}");
            assert_eq!((at, window.view.slot_len()), (0, view.slot_len()));
        }
    }
    assert_eq!(next, view.numel() as u64);
    let first = &windows[0].view;
    if view.batch > 1 && first.numel().is_multiple_of(entry) {
        return Kind::ByEntries;
    }
    match (first.count == view.count, first.inner == view.inner) {
        (true, true) => Kind::ByRows,
        (false, true) => Kind::BySlots,
        _ => Kind::WithinSlots,
    }
}

#[test]
fn windows_are_cut_between_rows_then_slots_then_within_slots() {
    assert_eq!(windows::cut(view(4, 8, 8), room(256), true).len(), 1);
    assert_eq!(cut(view(5, 8, 8), 256), Kind::ByRows);
    assert_eq!(cut(view(5, 8, 24), 256), Kind::ByRows);
    assert_eq!(cut(view(5, 8, 25), 256), Kind::BySlots);
    assert_eq!(cut(view(5, 8, 192), 256), Kind::BySlots);
    assert_eq!(cut(view(5, 8, 193), 256), Kind::WithinSlots);
    assert_eq!(cut(view(1, 1, 257), 256), Kind::WithinSlots);
    for inner in 1..600 {
        for (outer, count) in [(300, 1), (3, 5), (1, 257)] {
            let view = view(outer, count, inner);
            if view.numel() > 257 {
                cut(view, 257);
            }
        }
    }
}

#[test]
fn windows_are_cut_between_entries_before_anything_else() {
    let entries = |batch, view| View { batch, ..view };
    for apart in [true, false] {
        let cut = |view| cut_entries(view, 256, apart);
        assert_eq!(cut(entries(9, view(2, 4, 8))), Kind::ByEntries);
        assert_eq!(cut(entries(9, view(2, 8, 12))), Kind::ByEntries);
        assert_eq!(cut(entries(9, view(2, 8, 13))), Kind::ByRows);
        // A row of 192 elements fits a binding wherever it begins, and one more does not.
        assert_eq!(cut(entries(3, view(2, 192, 1))), Kind::ByRows);
        assert_eq!(cut(entries(3, view(2, 193, 1))), Kind::BySlots);
        assert_eq!(cut(entries(3, view(2, 3, 192))), Kind::BySlots);
        assert_eq!(cut(entries(3, view(2, 3, 193))), Kind::WithinSlots);
        for inner in 1..300 {
            for (batch, outer, count) in [(70, 1, 2), (5, 3, 5), (2, 2, 257)] {
                cut(entries(batch, view(outer, count, inner)));
            }
        }
    }
    // As many as fit, unless they are to be apart.
    let seven = entries(7, view(2, 4, 8));
    assert_eq!(windows::cut(seven, room(256), false).len(), 3);
    assert_eq!(windows::cut(seven, room(256), true).len(), 7);
    assert_eq!(windows::cut(seven, room(448), false).len(), 1);
}

#[test]
fn no_window_of_a_long_slot_is_empty() {
    for pieces in [2, 3, 4, 9] {
        for inner in pieces * 192 - 130..pieces * 192 + 70 {
            for (outer, count) in [(1, 1), (3, 1), (2, 3)] {
                let whole = view(outer, count, inner);
                cut(whole, 256);
                for class in [Gpu, Cpu] {
                    let limits = Limits {
                        max_binding_bytes: 1024,
                        ..limits(class)
                    };
                    let plan = Plan::new(slots(whole), Pass::Forward, forced(None), &limits);
                    let plan = plan.expect("a small plan");
                    invariants::check(&plan, slots(whole), Pass::Forward, &limits);
                }
            }
        }
    }
}

#[test]
fn a_binding_is_no_longer_than_the_device_allows() {
    // Windows that begin 63 elements into their binding and fill it, and limits that are no multiple
    // of a word.
    for bytes in 1024..1060 {
        let longest = bytes as usize / 4 - 64;
        for inner in [127, 129, 191, 192, longest, longest / 2, longest / 3] {
            for outer in [1, 2, 9] {
                let limits = Limits {
                    max_binding_bytes: bytes,
                    ..limits(Gpu)
                };
                let view = view(outer, 66, inner);
                let plan = Plan::new(slots(view), Pass::Flat, forced(None), &limits);
                let plan = plan.expect("a small plan");
                invariants::check(&plan, slots(view), Pass::Flat, &limits);
            }
        }
    }
}

#[test]
fn columns_need_whole_rows_in_every_window() {
    let limits = Limits {
        max_binding_bytes: 1024,
        ..limits(Gpu)
    };
    let wide = view(3, 300, 1);
    let plan = Plan::new(slots(wide), Pass::Forward, PlanOptions::default(), &limits);
    assert_eq!(plan.expect("a plan").strategy, Strategy::SplitRows);
    let columns = forced(Some(Strategy::SplitColumns));
    let reason = Plan::refusal(slots(wide), columns, &limits).expect("no size is too large");
    assert!(reason.is_some(), "columns apply to no part of a row");
}
