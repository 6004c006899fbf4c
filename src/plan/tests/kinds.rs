//! Statistics of groups, samples and rows: small ones replayed, and what the planner makes of them.

use super::replay::replay;
use super::small::replay_all;
use super::{Cpu, Error, Gains, Gpu, Limits, Pass, Plan, Reduction, Strategy};
use super::{
    forced, groups, invariants, is_too_wide, limits, passes, rows_of, slots, strategies, view,
};

/// Groups of every size over samples of a few shapes; those of one channel are an instance norm's.
pub(super) fn small_groups() -> Vec<Reduction> {
    let mut reductions = Vec::new();
    for batch in [1, 2, 3, 7] {
        for (outer, count, inner) in [
            (1, 4, 9),
            (1, 6, 16),
            (1, 12, 49),
            (1, 5, 1),
            (1, 8, 1),
            (9, 1, 7),
            (3, 1, 4),
            (2, 3, 5),
            (3, 4, 4),
            (5, 6, 49),
            (4, 8, 1),
            (9, 6, 1),
            (49, 3, 1),
            (64, 12, 1),
            (10, 132, 1),
            (30, 50, 1),
        ] {
            let fans = (1..=count).filter(|&fan| count % fan == 0);
            let view = view(outer, count, inner);
            reductions.extend(fans.map(|fan| groups(batch, view, fan)));
        }
    }
    reductions
}

/// Rows and what goes across them, short, long and odd.
pub(super) fn small_rows() -> Vec<Reduction> {
    let mut reductions = Vec::new();
    for rows in [1, 2, 3, 8, 33, 200] {
        for inner in [1, 2, 3, 4, 5, 8, 31, 32, 50, 128, 132, 257, 1028] {
            reductions.extend(rows_of(rows, inner));
        }
    }
    let large = [(3, 40_000), (2, 8193), (20_000, 4), (70_001, 1), (4000, 12)];
    reductions.extend(large.iter().flat_map(|&(rows, inner)| rows_of(rows, inner)));
    reductions
}

#[test]
fn every_kind_counts_and_writes_its_elements_once() {
    let mut plans = [0; 3];
    for reduction in small_groups().into_iter().chain(small_rows()) {
        for class in [Gpu, Cpu] {
            let more = replay_all(reduction, &limits(class));
            plans = std::array::from_fn(|i| plans[i] + more[i]);
        }
    }
    assert!(plans.iter().all(|&plans| plans > 300), "{plans:?}");
}

#[test]
fn a_statistic_of_several_partials_has_those_of_its_slots() {
    let mut most = [0; 2];
    for (batch, outer, count, inner) in [
        (2, 1, 6, 9000),
        (2, 3, 4, 5000),
        (3, 9000, 4, 1),
        (2, 700, 132, 1),
        (1, 20_000, 6, 1),
        (2, 20_000, 2, 1),
    ] {
        for fan in (1..=count).filter(|&fan| count % fan == 0) {
            let reduction = groups(batch, view(outer, count, inner), fan);
            for class in [Gpu, Cpu] {
                for strategy in strategies(reduction) {
                    let limits = limits(class);
                    let plan = Plan::new(reduction, Pass::Backward, forced(strategy), &limits);
                    let plan = plan.expect("a small plan");
                    invariants::check(&plan, reduction, Pass::Backward, &limits);
                    replay(&plan, reduction);
                    let columns = usize::from(plan.strategy == Strategy::SplitColumns);
                    most[columns] = most[columns].max(plan.partials.min(plan.fan));
                }
            }
        }
    }
    assert!(most.iter().all(|&most| most > 1), "{most:?}");
}

/// How the windows of a reduction were cut.
#[derive(Debug, Default)]
struct Reached {
    /// Windows of several batch entries, and several windows of one.
    several: usize,
    within: usize,
    /// Rows whose statistics are not the first.
    later_rows: usize,
    /// Slots that begin with a later group of an entry.
    later_slots: usize,
}

impl Reached {
    fn see(&mut self, plan: &Plan) {
        for cut in &plan.cuts {
            match cut.geometry {
                super::Geometry::Rows(rows) => {
                    let slot = rows.first_slot % plan.count;
                    self.later_slots += usize::from(slot > 0 && plan.count < plan.slots);
                    self.within += usize::from(rows.first_slice > 0);
                }
                super::Geometry::Columns(columns) => {
                    let several = plan.cuts.len() > 1 && columns.batches > 1;
                    self.several += usize::from(several);
                    let batches = plan.slots > plan.count;
                    self.within += usize::from(batches && columns.first_slice > 0);
                    let across = plan.gains == Gains::Across;
                    self.later_rows += usize::from(across && columns.first_row > 0);
                }
            }
        }
    }
}

#[test]
fn windows_change_nothing_of_any_kind() {
    let mut reached = Reached::default();
    let more = [
        groups(3, view(300, 12, 1), 4),
        groups(5, view(41, 12, 1), 3),
        groups(3, view(4, 6, 99), 2),
        groups(2, view(2, 3, 700), 3),
    ];
    let reductions = small_groups().into_iter().chain(small_rows()).chain(more);
    for reduction in reductions.filter(|reduction| reduction.view.numel() < 20_000) {
        for (class, bytes) in [(Gpu, 1024), (Cpu, 2048), (Gpu, 4100)] {
            let limits = Limits {
                max_binding_bytes: bytes,
                max_groups: 600,
                ..limits(class)
            };
            for strategy in strategies(reduction) {
                let options = forced(strategy);
                let refusal = Plan::refusal(reduction, options, &limits).expect("no refusal");
                if is_too_wide(reduction, &limits) || refusal.is_some() {
                    continue;
                }
                for &pass in passes(reduction).iter().rev().take(1) {
                    let plan = Plan::new(reduction, pass, options, &limits);
                    let plan = plan.expect("a small plan");
                    invariants::check(&plan, reduction, pass, &limits);
                    replay(&plan, reduction);
                    reached.see(&plan);
                }
            }
        }
    }
    let Reached {
        several,
        within,
        later_rows,
        later_slots,
    } = reached;
    let numbers = [several, within, later_rows, later_slots];
    assert!(numbers.iter().all(|&n| n > 20), "{reached:?}");
}

#[test]
fn entries_of_one_row_fold_into_more_slots() {
    for (reduction, folded) in [
        // Groups of samples whose channels come first, an instance norm of a single channel, and
        // samples whose channels come last.
        (groups(8, view(1, 6, 49), 3), [1, 1, 48, 49]),
        (groups(8, view(5, 1, 49), 1), [1, 1, 8, 245]),
        (groups(8, view(49, 6, 1), 2), [8, 49, 6, 1]),
        (groups(8, view(1, 6, 1), 2), [1, 1, 48, 1]),
        (slots(view(3, 1, 5)), [1, 1, 1, 15]),
        (rows_of(7, 5)[0], [1, 1, 7, 5]),
        // What goes across rows is never one row.
        (rows_of(1, 5)[1], [1, 1, 5, 1]),
        (rows_of(7, 1)[1], [1, 7, 1, 1]),
    ] {
        let view = reduction.folded().view;
        let dims = [view.batch, view.outer, view.count, view.inner];
        assert_eq!(dims, folded, "{reduction:?}");
    }
}

#[test]
fn groups_that_lanes_of_columns_cannot_merge_are_read_as_rows() {
    let wide = |fan: usize| groups(2, view(49, fan, 1), fan);
    let chosen = |reduction, options| {
        let plan = Plan::new(reduction, Pass::Backward, options, &limits(Cpu));
        plan.map(|plan| plan.strategy)
    };
    let small = chosen(wide(256), forced(None)).expect("a plan");
    assert_eq!(small, Strategy::SplitColumns);
    for strategy in [None, Some(Strategy::Resident)] {
        let large = chosen(wide(512), forced(strategy)).expect("a plan");
        assert_eq!(large, Strategy::SplitRows);
    }
    let columns = chosen(wide(512), forced(Some(Strategy::SplitColumns)));
    let Err(Error::TooLarge { name, .. }) = columns else {
        panic!("an unexpected {columns:?}");
    };
    assert_eq!(name, "partial results of a channel");
}

#[test]
fn more_than_a_lane_can_fold_is_refused() {
    let refused = |reduction: Reduction, class| {
        let plan = Plan::new(reduction, Pass::Forward, forced(None), &limits(class));
        match plan {
            Err(Error::TooLarge { name, limit, .. }) => Some((name, limit)),
            Err(error) => panic!("an unexpected {error}"),
            Ok(_) => None,
        }
    };
    let samples = |n| groups(n, view(1, 3, 4), 1);
    let most = 8 * 49_152;
    assert_eq!(refused(samples(most), Cpu), None);
    let limit = Some(("samples", most as u64));
    assert_eq!(refused(samples(most + 1), Cpu), limit);
    assert_eq!(refused(samples(most + 1), Gpu), None);
    // Four partials of each channel, since a row of whole words has so many copies of them.
    let odd = groups(100_000, view(4, 257, 1), 1);
    let columns = forced(Some(Strategy::SplitColumns));
    let plan = Plan::new(odd, Pass::Backward, columns, &limits(Cpu));
    let Err(Error::TooLarge { needed, limit, .. }) = plan else {
        panic!("an unexpected {plan:?}");
    };
    assert_eq!((needed, limit), (4, 3));
    let channels = |n| groups(1, view(1, n, 4), n);
    let most = 8 * 12_000;
    assert_eq!(refused(channels(most), Cpu), None);
    let limit = Some(("channels of a group", most as u64));
    assert_eq!(refused(channels(most + 1), Cpu), limit);
    assert_eq!(refused(channels(most + 1), Gpu), None);
    // A lane of its own could not merge two windows of so many channels; eight can.
    assert_eq!(refused(groups(1, view(4225, 8192, 1), 8192), Cpu), None);
}
