//! What holds for every plan, however large, by arithmetic alone.

use std::collections::HashMap;

use super::{
    Cut, Form, Gains, Geometry, Limits, MAX_ITERATIONS, Pass, Plan, Reduction, Rows, View,
};
use super::{columns, rows, slots::Fold};
use crate::plan::{Columns, MAX_TURNS, Reduce, SPANS, Strategy, Word};

/// Every whole number up to this one is an f32: what the kernels write as `n` of a partial.
const MAX_EXACT: u64 = 1 << 24;
/// What `sample_at` multiplies the places by that it chooses from.
const SAMPLED: u64 = 511;
/// What the kernels take of shared memory: two sums and a pivot for each entry of a tile.
const ENTRY_BYTES: u64 = 12;
const MAX_SHARED_BYTES: u64 = 12_288;
const MAX_INVOCATIONS: u32 = 256;

/// Checks all that is cheap; returns the most iterations of any lane.
pub(super) fn check(plan: &Plan, reduction: Reduction, pass: Pass, limits: &Limits) -> u64 {
    let view = reduction.folded().view;
    check_slots(plan, reduction, limits);
    check_strategy(plan, view, pass);
    let (mut next, mut longest) = (0, fold_iterations(plan, pass));
    let mut slots = 0;
    let mut slices: HashMap<u32, u64> = HashMap::new();
    for cut in &plan.cuts {
        let (elements, iterations, partials) = match &cut.geometry {
            Geometry::Rows(geometry) => check_rows(plan, cut, geometry, pass),
            Geometry::Columns(geometry) => check_columns(plan, cut, geometry, pass),
        };
        assert!(elements > 0, "an empty window: {cut:?}");
        check_binding(plan, cut, reduction, elements, limits);
        let begin = cut.first + shift(plan, cut);
        assert_eq!(begin, next, "the window begins where the last one ends");
        next = begin + elements;
        check_grid(cut, limits);
        check_place(plan, cut, view, begin);
        // The slices of a slot are numbered without a gap, window by window.
        let first = first_partial(plan, cut);
        let so_far = slices.entry(first.slot).or_default();
        assert_eq!(*so_far, first.partial, "the first partial of {cut:?}");
        *so_far += partials;
        slots += if first.partial == 0 { first.slots } else { 0 };
        longest = longest.max(iterations);
    }
    assert_eq!(next, view.numel() as u64, "the windows' end");
    assert_eq!(slots, u64::from(plan.slots), "the windows' slots");
    if plan.strategy == Strategy::Resident {
        let folds = matches!(plan.gains, Gains::Period(_));
        assert_eq!(plan.partials, u32::from(folds));
    } else if pass == Pass::Flat {
        assert_eq!(plan.partials, 0);
    } else {
        let all = slices.values().all(|&n| n == u64::from(plan.partials));
        assert!(all, "{} partials of {slices:?}", plan.partials);
    }
    longest
}

/// A lane of a software driver stops when it has looped too often.
pub(super) fn check_iterations(plan: &Plan, reduction: Reduction, pass: Pass, iterations: u64) {
    assert!(
        iterations < MAX_ITERATIONS,
        "{iterations} iterations of one lane: {reduction:?} {pass:?} {:?} {:?} {:?} in {} windows, {} partials",
        plan.strategy,
        plan.word,
        plan.form,
        plan.cuts.len(),
        plan.partials
    );
}

fn check_slots(plan: &Plan, reduction: Reduction, limits: &Limits) {
    let view = reduction.folded().view;
    assert_eq!(view.numel(), reduction.view.numel());
    assert_eq!(view.slots(), reduction.view.slots());
    assert_eq!(plan.count as usize, view.count);
    assert_eq!(plan.slots as usize, view.slots());
    assert_eq!(plan.fan as usize, reduction.fan);
    assert!(plan.slots.is_multiple_of(plan.gain_count()));
    assert!(plan.workgroup.is_power_of_two() && plan.workgroup <= MAX_INVOCATIONS);
    let statistics = plan.slots / plan.fan;
    let (shares, inner) = plan.gain_shares().unwrap_or_default();
    let partials = u64::from(plan.slots) * u64::from(plan.partials);
    let partials = partials.max(u64::from(shares) * u64::from(inner));
    let vectors = 1 + u64::from(statistics) + partials;
    let state_len = plan.state_len(statistics as usize) as u64;
    assert_eq!(state_len, 4 * vectors);
    // Where the state fits a binding, each of its partials has an index.
    assert!(vectors * 16 > limits.max_binding_bytes || vectors <= u32::MAX.into());
    let merged = u64::from(plan.partials) * u64::from(plan.fan);
    assert!(
        merged <= u32::MAX.into(),
        "{merged} partials of a statistic"
    );
}

/// The iterations of what folds samples, for those plans that have some.
fn fold_iterations(plan: &Plan, pass: Pass) -> u64 {
    match plan.gains {
        Gains::Period(_) if pass != Pass::Flat => Fold::new(plan).iterations(),
        _ => 0,
    }
}

fn check_strategy(plan: &Plan, view: View, pass: Pass) {
    let held = matches!(plan.form, Form::HeldRows(_) | Form::HeldColumns(_));
    assert_eq!(held, plan.strategy == Strategy::Resident);
    if held {
        assert_eq!(plan.cuts.len(), 1, "resident slots lie in one window");
        assert!(matches!(pass, Pass::Forward | Pass::Gated | Pass::Backward));
    }
    if plan.form == Form::Ragged {
        let width = plan.word.width();
        assert!(width > 1, "one element cannot straddle");
        let least = if width == 4 { 4 } else { 1 };
        assert!(
            view.inner >= least,
            "a word straddles two slots at the most"
        );
        assert!(view.batch == 1 || width == 2, "and no two entries");
    }
    let apart = plan.form == Form::Ragged && view.batch > 1;
    assert_eq!(
        plan.keeps_ends, apart,
        "entries share their first and last word"
    );
    match plan.gains {
        Gains::Elements => assert!(match plan.form {
            Form::Ragged => plan.word.width() == 2,
            form => matches!(form, Form::Whole | Form::HeldRows(_)),
        }),
        Gains::Across => assert!(matches!(plan.form, Form::Span(_))),
        Gains::Slots | Gains::Period(_) => {}
    }
    if plan.form != Form::Ragged || plan.word.width() == 4 {
        let whole = view.numel().is_multiple_of(plan.word.width());
        assert!(whole, "the last word is whole");
    }
    if matches!(plan.word, Word::Single(_)) {
        assert_eq!(plan.gains, Gains::Across, "half a u32 cannot be written");
    }
    if plan.walk_reduce() == Reduce::OneSubgroup {
        for cut in &plan.cuts {
            if let Geometry::Rows(rows) = cut.geometry {
                assert_eq!(rows.lanes, plan.workgroup, "a run is the subgroup");
            }
        }
    }
}

/// Partials of each row's channels that a slice leaves: one for each copy that lies in a block of its
/// own.
fn copies(plan: &Plan, columns: &Columns) -> u64 {
    let row = u64::from(columns.row_words) * plan.word.width() as u64;
    if columns.blocks == 1 {
        1
    } else {
        row / u64::from(plan.count)
    }
}

/// Where a window begins among slots and partials.
struct First {
    slot: u32,
    /// Its slots.
    slots: u64,
    partial: u64,
}

fn first_partial(plan: &Plan, cut: &Cut) -> First {
    match &cut.geometry {
        Geometry::Rows(rows) => First {
            slot: rows.first_slot,
            slots: rows.slots.into(),
            partial: rows.first_slice.into(),
        },
        Geometry::Columns(columns) => First {
            slot: columns.first_batch * plan.count,
            slots: u64::from(columns.batches) * u64::from(plan.count),
            partial: u64::from(columns.first_slice) * copies(plan, columns),
        },
    }
}

/// The first slot, batch entry and row of a window that begins with this element.
fn check_place(plan: &Plan, cut: &Cut, view: View, begin: u64) {
    let entry = view.slot_len() as u64 * view.count as u64;
    let (batch, at) = (begin / entry, begin % entry);
    let slot = batch * view.count as u64 + at / view.inner as u64 % view.count as u64;
    assert_eq!(u64::from(first_partial(plan, cut).slot), slot, "{cut:?}");
    if let Geometry::Columns(columns) = cut.geometry {
        assert_eq!(at % view.count as u64, 0, "columns begin with a row");
        if plan.gains == Gains::Across {
            assert_eq!(u64::from(columns.first_row), at / view.count as u64);
        }
    }
}

/// Elements of the binding before the window.
fn shift(plan: &Plan, cut: &Cut) -> u64 {
    match cut.geometry {
        Geometry::Rows(rows) => rows.shift.into(),
        Geometry::Columns(columns) => u64::from(columns.shift) * plan.word.width() as u64,
    }
}

fn check_binding(plan: &Plan, cut: &Cut, reduction: Reduction, elements: u64, limits: &Limits) {
    let (view, size) = (reduction.view, reduction.dtype.size());
    let alignment = 256 / size;

    let end = cut.first + cut.len;
    assert!(
        cut.first.is_multiple_of(alignment),
        "a binding begins at {}",
        cut.first
    );
    assert!(end <= view.numel() as u64, "a binding ends at {end}");
    assert!(
        (cut.len * size).next_multiple_of(4) <= limits.max_binding_bytes,
        "{} elements",
        cut.len
    );
    assert!(shift(plan, cut) < alignment);
    let needed = (shift(plan, cut) + elements).next_multiple_of(plan.word.width() as u64);
    let there = needed.min(view.numel() as u64 - cut.first);
    assert!(cut.len >= there, "{there} of {} elements", cut.len);
    // Cursors of the kernels go beyond a window by less than a row of it.
    assert!(needed <= 1 << 30);
}

fn check_grid(cut: &Cut, limits: &Limits) {
    let [width, height] = cut.grid.map(u64::from);
    let groups = u64::from(cut.groups);
    assert!(width <= limits.max_groups.into() && height <= limits.max_groups.into());
    assert!(groups > 0 && groups <= width * height && width * height < groups + width);
    assert!(u32::try_from(width * height).is_ok(), "{:?}", cut.grid);
}

/// The elements of the window, the iterations of its lanes and the partials of each slot in it.
fn check_rows(plan: &Plan, cut: &Cut, rows: &Rows, pass: Pass) -> (u64, u64, u64) {
    let outer = u64::from(rows.slot_words / rows.row_words);
    assert_eq!(rows.slot_words % rows.row_words, 0);
    assert!(rows.first_slot + rows.slots <= plan.slots);
    let width = plan.word.width() as u64;
    let whole = u64::from(rows.inner) / width;
    let touched = match plan.form {
        Form::Ragged => (u64::from(rows.inner) + 2 * (width - 1)) / width,
        _ => whole,
    };
    assert_eq!(u64::from(rows.row_words), touched);
    if plan.form != Form::Ragged {
        assert_eq!(whole * width, u64::from(rows.inner));
        assert!(shift(plan, cut).is_multiple_of(width));
    }
    let row = u64::from(rows.slots) * u64::from(rows.inner);
    assert!(outer == 1 || row == u64::from(rows.row_stride));
    assert!(outer == 1 || rows.slots == plan.count);
    let slots = rows.slots.div_ceil(rows.slots_per_group);
    assert_eq!(cut.groups, slots * rows.slices);
    if let Form::HeldRows(held) = plan.form {
        assert!(held.is_power_of_two() && held <= 32);
        assert!(u64::from(held) * u64::from(rows.lanes) >= rows.slot_words.into());
        assert!(rows.lanes.is_power_of_two());
        assert!(rows.turns > 0);
        assert_eq!(
            rows.lanes * rows.slots_per_group,
            plan.workgroup * rows.turns
        );
        assert_eq!(rows.slices, 1);
    } else {
        assert!([1, plan.workgroup].contains(&rows.lanes));
        assert_eq!(
            rows.lanes * rows.slots_per_group,
            plan.workgroup * rows.turns
        );
        assert!(rows.slots.is_multiple_of(rows.slots_per_group));
        assert!((1..=MAX_TURNS as u32).contains(&rows.turns));
        assert!(rows.turns == 1 || plan.in_turns());
        assert!(rows.piece_words == rows.slot_words || rows.turns > 1);
        assert!(rows.piece_words.is_multiple_of(rows.row_words));
        check_gates(plan, cut, rows);
    }
    // No slice is empty, and `n` of each is exact.
    let units = rows.slot_words.div_ceil(32);
    assert!(rows.slices >= 1 && rows.slices <= units);
    let words = u64::from(units.div_ceil(rows.slices)) * 32;
    assert!(words.min(rows.slot_words.into()) * width <= MAX_EXACT);
    assert!(words * SAMPLED <= u32::MAX.into());
    (
        outer * row,
        rows::iterations(plan, rows, pass),
        rows.slices.into(),
    )
}

/// A lane keeps no more words of bits than it needs, but for the end of each piece, and two pieces more of
/// each of its slots.
fn check_gates(plan: &Plan, cut: &Cut, rows: &Rows) {
    let units = rows.slot_words.div_ceil(32).div_ceil(rows.slices);
    let words = (units * 32).min(rows.slot_words);
    let of_words =
        |words: u32| (words.div_ceil(rows.lanes) * plan.word.width() as u32).div_ceil(32);
    let needed = rows.turns * of_words(words);
    let pieces = words.div_ceil(rows.piece_words) + 1;
    let piece = of_words(rows.piece_words);
    let most = match rows.turns {
        1 => needed,
        turns => needed + turns * 2 * (pieces + piece),
    };
    let of_group = cut
        .geometry
        .group_gates(plan.word, plan.form, plan.workgroup);
    if rows.turns == 1 {
        // The last bits are those of the last lane that has words.
        let place = words.min(rows.lanes) - 1;
        let lane = plan.workgroup - rows.lanes + place;
        let of_lane = of_words(words - place);
        assert!((of_lane - 1) * plan.workgroup + lane < of_group);
        assert!(words > rows.lanes || of_group == lane + 1);
    }
    let kept = cut.geometry.lane_gates(plan.word, plan.form);
    assert!(
        (needed..=most).contains(&kept),
        "{kept} words of gates, {needed} to {most}: {rows:?}"
    );
}

fn check_columns(plan: &Plan, cut: &Cut, columns: &Columns, pass: Pass) -> (u64, u64, u64) {
    let width = plan.word.width() as u64;
    let row = u64::from(columns.row_words) * width;
    assert!(row.is_multiple_of(plan.count.into()), "copies are whole");
    let span = match plan.form {
        Form::Span(span) => span,
        _ => 1,
    };
    assert!(SPANS.contains(&span));
    assert!(columns.tile_words <= columns.tile_lanes * span);
    let less = SPANS.iter().rfind(|&&less| less < span).unwrap_or(&0);
    assert!(columns.tile_words > columns.tile_lanes * less);
    assert!(columns.tile_lanes * columns.row_lanes <= plan.workgroup && columns.row_lanes > 0);
    assert_eq!(
        columns.blocks,
        columns.row_words.div_ceil(columns.tile_words)
    );
    assert_eq!(
        cut.groups,
        columns.blocks * columns.slices * columns.batches
    );
    if plan.gains == Gains::Across {
        assert_eq!(row, u64::from(plan.count), "a row has one statistic");
    }
    assert!((1..=columns.rows).contains(&columns.slices));
    let tile = u64::from(plan.workgroup) * width * u64::from(span);
    assert!(tile * ENTRY_BYTES <= MAX_SHARED_BYTES, "{tile} entries");
    let whole = columns.blocks == 1;
    let copies = if whole {
        1
    } else {
        row / u64::from(plan.count)
    };
    let rows = u64::from(columns.rows.div_ceil(columns.slices));
    let n = rows * row / u64::from(plan.count) / copies;
    assert!(n <= MAX_EXACT && n * SAMPLED <= u32::MAX.into());
    if let Form::HeldColumns(held) = plan.form {
        assert!(held.is_power_of_two() && held <= 64);
        assert!(u64::from(held) * u64::from(columns.row_lanes) >= columns.rows.into());
        assert!(copies == 1, "a tile has all copies of its channels");
    }
    (
        u64::from(columns.batches) * u64::from(columns.rows) * row,
        columns::iterations(plan, cut, columns, pass),
        u64::from(columns.slices) * copies,
    )
}
