//! Every lane of every workgroup walks, as the kernels do, and a ledger sees what becomes of each
//! element.

use super::ledger::{Lane, Ledger};
use super::{Cut, Form, Geometry, Plan, Reduction};
use super::{columns, rows, slots::Fold};

/// The groups of a grid, as `group_index` numbers them.
fn groups(cut: &Cut, grid_width: u32, groups: u32) -> impl Iterator<Item = u32> {
    let [width, height] = cut.grid;
    (0..height)
        .flat_map(move |y| (0..width).map(move |x| y * grid_width + x))
        .filter(move |&group| group < groups)
}

pub(super) fn replay(plan: &Plan, reduction: Reduction) {
    for sums in [rows::MOMENTS, rows::BACKWARD_SUMS] {
        let mut ledger = Ledger::new(plan, reduction);
        for cut in &plan.cuts {
            match cut.geometry {
                Geometry::Rows(geometry) => {
                    let params = rows::Params::new(plan, cut, &geometry);
                    match plan.form {
                        Form::HeldRows(held) => hold_rows(&params, plan, cut, held, &mut ledger),
                        _ => split_rows(&params, cut, sums, &mut ledger),
                    }
                }
                Geometry::Columns(geometry) => {
                    let params = columns::Params::new(plan, cut, &geometry);
                    match plan.form {
                        Form::HeldColumns(held) => hold_columns(&params, cut, held, &mut ledger),
                        _ => split_columns(&params, cut, sums.unroll == 2, &mut ledger),
                    }
                }
            }
        }
        ledger.all_are_counted();
        ledger.all_are_owned();
        ledger.all_are_written();
        ledger.all_partials_are_there();
        plan.cuts.iter().for_each(|cut| merge(plan, cut, &ledger));
        if plan.partials > 0 {
            ledger.fold(&Fold::new(plan));
        }
    }
}

/// What the second dispatch over this window would read of the partials.
fn merge(plan: &Plan, cut: &Cut, ledger: &Ledger) {
    match &cut.geometry {
        Geometry::Rows(geometry) => {
            let p = rows::Params::new(plan, cut, geometry);
            let partial = |statistic, i| {
                let index = p.statistic_partial(statistic, i);
                (index, p.slots_of.gain_of(p.partial_slot(statistic, i)))
            };
            ledger.merge(p.statistic_partials(), partial);
        }
        Geometry::Columns(geometry) => {
            let p = columns::Params::new(plan, cut, geometry);
            let partial = |statistic, i| {
                let index = p.statistic_partial(statistic, i);
                (index, p.slots_of.gain_of(p.partial_slot(statistic, i)))
            };
            ledger.merge(p.statistic_partials(), partial);
        }
    }
}

fn split_rows(p: &rows::Params, cut: &Cut, sums: rows::Sums, ledger: &mut Ledger) {
    ledger.begin(cut);
    for group in groups(cut, p.grid_width, p.groups) {
        // Since the lanes that walk together last counted.
        let mut n = 0;
        let turns = (0..p.turns).flat_map(|turn| (0..p.workgroup).map(move |lane| (turn, lane)));
        for (turn, lane) in turns {
            let slice = p.slice_of(group, lane, turn);
            rows::sum(p, &slice, lane, sums, |cursor, end| {
                for component in p.members(cursor, end) {
                    let seen = p.word_of(cursor) * p.width + component;
                    ledger.count(cut, seen, slice.slot);
                    ledger.gain(cut, seen, p.gain(cursor, p.word_of(cursor), component));
                    n += 1;
                }
            });
            let id = Lane {
                window: cut.first,
                group,
                number: lane,
            };
            rows::write(p, &slice, lane, sums.unroll, |cursor, end| {
                if p.writes(cursor, end) {
                    write_word(p, cut, slice.slot, cursor, id, ledger);
                }
            });
            for seen in p.samples(&slice) {
                assert_eq!(ledger.slot(Ledger::element(cut, seen)), slice.slot);
            }
            if (lane + 1) % p.lanes == 0 {
                leave_rows(p, &slice, std::mem::take(&mut n), ledger);
            }
        }
    }
}

/// The partial of the lanes that walk together along a slice, and who owns the statistic.
fn leave_rows(p: &rows::Params, slice: &rows::Slice, n: u32, ledger: &mut Ledger) {
    let before = |at| p.elements_before(slice, at);
    assert_eq!(
        n,
        before(slice.end) - before(slice.begin),
        "n of the partial"
    );
    assert!(n > 0, "a partial without elements");
    ledger.leave_partial(p.slot_partial(slice), slice.slot);
    if slice.index == 0 && p.slots_of.leads(slice.slot) {
        ledger.own(p.slots_of.statistic_of(slice.slot));
    }
}

fn write_word(
    p: &rows::Params,
    cut: &Cut,
    slot: u32,
    cursor: rows::Cursor,
    lane: Lane,
    ledger: &mut Ledger,
) {
    let word = p.written_word(cursor);
    ledger.write_word(word);
    for component in 0..p.width {
        let seen = word * p.width + component;
        if !p.is_stored(word, component) || ledger.is_padding(cut, seen) {
            continue;
        }
        let slot = if p.is_own(cursor, component) {
            slot
        } else {
            p.next_slot(slot)
        };
        ledger.write_once(cut, seen, slot, lane);
        ledger.gain(cut, seen, p.gain(cursor, word, component));
    }
}

fn hold_rows(p: &rows::Params, plan: &Plan, cut: &Cut, held: u32, ledger: &mut Ledger) {
    assert!(p.lanes.is_power_of_two() && p.workgroup.is_multiple_of(p.lanes));
    let mut left = Vec::new();
    for group in groups(cut, p.grid_width, p.groups) {
        for lane in 0..p.workgroup {
            for turn in 0..p.turns {
                hold_slot(p, cut, (group, turn, lane), held, ledger);
            }
            // What the lane leaves for the gradients of its elements' gains.
            let share = group * (p.workgroup / p.lanes) + lane / p.lanes;
            let words = (0..held).map(|i| (lane & (p.lanes - 1)) + i * p.lanes);
            for word in words.filter(|&word| word < p.row_words) {
                left.extend((0..p.width).map(|c| share * p.inner + word * p.width + c));
            }
        }
    }
    if let Some((shares, inner)) = plan.gain_shares() {
        left.sort_unstable();
        assert!(left.into_iter().eq(0..shares * inner), "sums of gains");
    }
}

fn hold_slot(
    p: &rows::Params,
    cut: &Cut,
    (group, turn, lane): (u32, u32, u32),
    held: u32,
    ledger: &mut Ledger,
) {
    let slice = p.shared_slot(group, turn, lane);
    let run = lane & (p.lanes - 1);
    let id = Lane {
        window: cut.first,
        group,
        number: lane,
    };
    for (i, (word, at)) in (0..).zip(p.held_words(&slice, lane, held)) {
        let first = ledger.slot(Ledger::element(cut, word * p.width));
        assert_eq!(first, slice.slot, "the slot that a lane reads");
        if !p.full && run + i * p.lanes >= slice.end {
            continue;
        }
        for component in 0..p.width {
            let seen = word * p.width + component;
            ledger.count(cut, seen, slice.slot);
            ledger.write_once(cut, seen, slice.slot, id);
            ledger.gain(cut, seen, at * p.width + component);
        }
    }
    if run == 0 && slice.end > 0 {
        ledger.leave_partial(p.slot_partial(&slice), slice.slot);
        ledger.own(slice.slot);
    }
}

/// The number of values that end in each entry of the scratch, whose tree adds every entry to that of
/// its merged column.
struct Scratch(Vec<Option<u32>>);

impl Scratch {
    fn new(p: &columns::Params) -> Self {
        let entries = p.merged_lanes() * p.merged_columns();
        assert!(entries <= p.tile(), "{entries} entries of the scratch");
        Self(vec![None; entries as usize])
    }

    fn merged(&self, columns: u32) -> Vec<u32> {
        let mut merged = vec![0; columns as usize];
        for (i, n) in self.0.iter().enumerate() {
            merged[i % columns as usize] += n.expect("an entry that some lane fills");
        }
        merged
    }
}

/// Counts the words of a lane that reads `at_once` rows at once, up to `times` times.
fn sum_columns(
    p: &columns::Params,
    cut: &Cut,
    slice: &columns::Slice,
    lane: u32,
    words: impl IntoIterator<Item = (u32, u32)>,
    (scratch, ledger): (&mut Scratch, &mut Ledger),
) {
    let walk = p.walk_of(slice, lane);
    let mut n = vec![0; p.span as usize];
    for (row, i) in words {
        let j = i % p.span;
        if !columns::Params::is_in_tile(&walk, j) || !p.is_new(&walk, row, i) {
            continue;
        }
        n[j as usize] += 1;
        for c in 0..p.width {
            let column = p.tile_element(&walk, j, c) % p.merged_columns();
            if !p.is_column(slice, column) {
                // The tile reaches beyond the row, and its sums there become no partial.
                continue;
            }
            let own = p.merged_column(slice, columns::Params::span_word(&walk, j), c);
            assert_eq!(column, own, "the column whose pivot is taken");
            let slot = p.slot_of(slice, slice.first_column + column);
            let seen = p.word_of(&walk, row, i) * p.width + c;
            ledger.count(cut, seen, slot);
            ledger.row(cut, seen, p.first_row + p.row_of(&walk, row, i));
        }
    }
    for j in (0..p.span).filter(|&j| columns::Params::is_in_tile(&walk, j)) {
        for c in 0..p.width {
            let entry = &mut scratch.0[p.tile_element(&walk, j, c) as usize];
            assert_eq!(
                entry.replace(n[j as usize]),
                None,
                "an entry of the scratch twice"
            );
        }
    }
}

/// The workgroup's columns once they are merged: their partials if it leaves any, and their owners.
fn merge_columns(
    p: &columns::Params,
    cut: &Cut,
    slice: &columns::Slice,
    scratch: &Scratch,
    ledger: &mut Ledger,
) {
    let merged = scratch.merged(p.merged_columns());
    for (i, &n) in (0..).zip(&merged) {
        if p.is_column(slice, i) {
            assert_eq!(n, p.column_n(slice), "n of merged column {i}'s partial");
            let slot = p.slot_of(slice, slice.first_column + i);
            for seen in p.samples(slice, i) {
                assert_eq!(ledger.slot(Ledger::element(cut, seen)), slot);
            }
            ledger.leave_partial(p.column_partial(slice, i), slot);
        }
        if slice.index == 0 && slice.first_column + i < p.count {
            let slot = p.slot_of(slice, slice.first_column + i);
            if p.slots_of.leads(slot) {
                ledger.own(p.slots_of.statistic_of(slot));
            }
        }
    }
    if p.partials > 0 {
        let ways = p.merge_ways();
        assert!(ways > 0 && ways * p.merged_columns() <= p.tile());
    }
}

fn split_columns(p: &columns::Params, cut: &Cut, reads_dy: bool, ledger: &mut Ledger) {
    let at_once = columns::rows_at_once(p.span, reads_dy);
    for group in groups(cut, p.grid_width, p.groups) {
        let slice = p.slice_of(group);
        let mut scratch = Scratch::new(p);
        for lane in 0..p.workgroup {
            let walk = p.walk_of(&slice, lane);
            let mut words = Vec::new();
            p.walk_rows(&walk, at_once, |row, i| words.push((row, i)));
            write_columns(p, cut, group, lane, &words, ledger);
            sum_columns(p, cut, &slice, lane, words, (&mut scratch, ledger));
        }
        merge_columns(p, cut, &slice, &scratch, ledger);
    }
}

/// Writes the words of a lane with the values of the channels that it prepared for them.
fn write_columns(
    p: &columns::Params,
    cut: &Cut,
    group: u32,
    lane: u32,
    words: &[(u32, u32)],
    ledger: &mut Ledger,
) {
    let slice = p.slice_of(group);
    let walk = p.walk_of(&slice, lane);
    let id = Lane {
        window: cut.first,
        group,
        number: lane,
    };
    for &(row, i) in words {
        let word = columns::Params::span_word(&walk, i % p.span);
        for c in 0..p.width {
            let slot = p.slot_of(&slice, word * p.width + c);
            ledger.write(cut, p.word_of(&walk, row, i) * p.width + c, slot, id);
        }
    }
}

fn hold_columns(p: &columns::Params, cut: &Cut, held: u32, ledger: &mut Ledger) {
    for group in groups(cut, p.grid_width, p.groups) {
        let slice = p.slice_of(group);
        let mut scratch = Scratch::new(p);
        for lane in 0..p.workgroup {
            let walk = p.walk_of(&slice, lane);
            let row = |i: u32| walk.row_begin + i * walk.row_step;
            let is_held = |i: &u32| p.full || row(*i) < walk.row_end;
            let words = (0..held).filter(is_held).map(|i| (walk.row_begin, i));
            let words: Vec<_> = words.collect();
            for &(begin, i) in words.iter().filter(|_| p.full) {
                assert_eq!(p.word_of(&walk, begin, i), p.full_word(&walk, row(i)));
            }
            write_columns(p, cut, group, lane, &words, ledger);
            sum_columns(p, cut, &slice, lane, words, (&mut scratch, ledger));
        }
        merge_columns(p, cut, &slice, &scratch, ledger);
    }
}
