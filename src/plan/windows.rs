//! A tensor larger than one binding, cut into windows that each fit one.

use crate::View;
use crate::gpu::{DType, Limits};

/// A run of elements that lies in one binding, and how the kernels see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// The first element.
    pub(crate) start: u64,
    pub(crate) view: View,
    /// The slot of the whole view that is this one's first.
    pub(crate) first_slot: usize,
    /// Which part of its slots this is, counted from 0: slots that are cut have the same parts.
    pub(crate) part: usize,
    /// Its binding begins at a multiple of so many elements.
    pub(crate) alignment: usize,
}

impl Window {
    /// The elements before the window's first one in its binding.
    pub(crate) fn shift(&self) -> u32 {
        (self.start % self.alignment as u64) as u32
    }
}

/// Bytes between any two places where a binding may begin: the largest alignment that WebGPU allows a
/// device to ask for.
pub(crate) const ALIGNMENT: u64 = 256;
/// The most elements of a window: the kernels count them in u32, and walk past the last one by up
/// to a row of the tensor before they compare.
pub(crate) const MAX_WINDOW: u64 = 1 << 30;

/// What fits one binding.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    /// Elements, in whole units of alignment.
    pub(crate) max: usize,
    pub(crate) alignment: usize,
}

impl Room {
    pub(super) fn of(dtype: DType, limits: &Limits) -> Self {
        let alignment = ALIGNMENT / dtype.size();
        let elements = limits.max_binding_bytes / ALIGNMENT * alignment;
        Self {
            max: elements.min(MAX_WINDOW) as usize,
            alignment: alignment as usize,
        }
    }
}

/// Cuts a view into windows that each have room, in memory order: between batch entries if
/// those fit, else between the rows of all slots, else between slots, else within one. Where they are
/// to be `apart`, no window has several batch entries.
pub(super) fn cut(view: View, room: Room, apart: bool) -> Vec<Window> {
    if view.numel() <= room.max && (view.batch == 1 || !apart) {
        return vec![Window {
            start: 0,
            view,
            first_slot: 0,
            part: 0,
            alignment: room.alignment,
        }];
    }
    // Less what may lie before a window in its binding.
    let room = Room {
        max: room.max - room.alignment,
        ..room
    };
    if view.batch > 1 {
        by_entries(view, room, apart)
    } else {
        within_entry(view, room)
    }
}

/// Cuts a single batch entry, whose windows have room wherever they begin.
fn within_entry(view: View, room: Room) -> Vec<Window> {
    if view.count * view.inner <= room.max {
        return by_rows(view, room);
    }
    if view.inner <= room.max {
        return by_slots(view, room);
    }
    within_slots(view, room)
}

fn by_entries(view: View, room: Room, apart: bool) -> Vec<Window> {
    let entry = View { batch: 1, ..view };
    let fit = room.max / entry.numel();
    let at_once = if apart { fit.min(1) } else { fit };
    let at = |first: usize, window: Window| Window {
        start: window.start + (first * entry.numel()) as u64,
        first_slot: window.first_slot + first * view.count,
        ..window
    };
    if at_once == 0 {
        let entries = (0..view.batch).flat_map(|first| {
            within_entry(entry, room)
                .into_iter()
                .map(move |w| (first, w))
        });
        return entries.map(|(first, window)| at(first, window)).collect();
    }
    (0..view.batch)
        .step_by(at_once)
        .map(|first| {
            let window = Window {
                start: 0,
                view: View {
                    batch: at_once.min(view.batch - first),
                    ..view
                },
                first_slot: 0,
                part: 0,
                alignment: room.alignment,
            };
            at(first, window)
        })
        .collect()
}

fn by_rows(view: View, room: Room) -> Vec<Window> {
    let row = view.count * view.inner;
    let fits = room.max / row;
    // Any multiple of so many rows begins where a binding may.
    let aligned = room.alignment;
    let rows = if fits >= aligned {
        fits / aligned * aligned
    } else {
        fits
    };
    (0..view.outer.div_ceil(rows))
        .map(|part| Window {
            start: (part * rows * row) as u64,
            view: View {
                outer: rows.min(view.outer - part * rows),
                ..view
            },
            first_slot: 0,
            part,
            alignment: room.alignment,
        })
        .collect()
}

fn by_slots(view: View, room: Room) -> Vec<Window> {
    let slots = room.max / view.inner;
    let pieces = view.count.div_ceil(slots);
    (0..view.outer * pieces)
        .map(|i| {
            let (part, first_slot) = (i / pieces, i % pieces * slots);
            Window {
                start: ((part * view.count + first_slot) * view.inner) as u64,
                view: View {
                    batch: 1,
                    outer: 1,
                    count: slots.min(view.count - first_slot),
                    inner: view.inner,
                },
                first_slot,
                part,
                alignment: room.alignment,
            }
        })
        .collect()
}

/// The rows of one slot are cut where bindings may begin, so that no word of the kernels straddles
/// two windows of one slot; all are cut into as many pieces, as evenly as can be.
fn within_slots(view: View, room: Room) -> Vec<Window> {
    let aligned = room.alignment;
    let most_units = (view.inner + aligned - 1).div_ceil(aligned);
    let pieces = most_units.div_ceil(room.max / aligned);
    (0..view.outer * view.count * pieces)
        .map(|i| {
            let (row, piece) = (i / pieces, i % pieces);
            let (start, end) = (row * view.inner, (row + 1) * view.inner);
            let first = start / aligned;
            let units = end.div_ceil(aligned) - first;
            let cut = |piece| (first + piece * units / pieces) * aligned;
            let (begin, end) = (cut(piece).max(start), cut(piece + 1).min(end));
            Window {
                start: begin as u64,
                view: View {
                    batch: 1,
                    outer: 1,
                    count: 1,
                    inner: end - begin,
                },
                first_slot: row % view.count,
                part: row / view.count * pieces + piece,
                alignment: room.alignment,
            }
        })
        .collect()
}
