//! Small plans of every kind, replayed.

use super::replay::replay;
use super::{Cpu, Gpu, Limits, Pass, Plan, Reduction, Strategy, View};
use super::{forced, halves, invariants, limits, passes, slots, strategies, view};

/// Plans and replays a reduction in every way that there is; counts the plans by strategy.
pub(super) fn replay_all(reduction: Reduction, limits: &Limits) -> [usize; 3] {
    let mut plans = [0; 3];
    for strategy in strategies(reduction) {
        for &pass in passes(reduction) {
            let options = forced(strategy);
            let plan = Plan::new(reduction, pass, options, limits).expect("a small plan");
            invariants::check(&plan, reduction, pass, limits);
            // A pass that merges nothing has slices of its own; the others share theirs.
            replay(&plan, reduction);
            let i = match plan.strategy {
                Strategy::SplitRows => 0,
                Strategy::SplitColumns => 1,
                Strategy::Resident => 2,
            };
            plans[i] += 1;
        }
    }
    plans
}

/// Small views: every combination of a few sizes, and some that do not divide by anything.
pub(super) fn small_views() -> Vec<View> {
    let mut views = Vec::new();
    for outer in [1, 2, 3, 8, 21] {
        for count in [1, 2, 3, 4, 5, 8, 50] {
            views.extend((1..=9).map(|inner| view(outer, count, inner)));
        }
    }
    let sizes = [
        (2, 3, 49),
        (5, 7, 169),
        (4, 257, 1),
        (3, 257, 7),
        (9, 1030, 1),
        (700, 132, 1),
        (2000, 131, 1),
        (333, 50, 1),
        (90, 132, 1),
        (60, 36, 1),
        (70_000, 3, 1),
        (1500, 7, 5),
        (1, 1, 20_011),
        (2, 3, 10_000),
        (3, 2, 12_345),
        (4, 1, 33_000),
        (1, 2, 70_002),
        (5, 2, 9000),
    ];
    views.extend(sizes.map(|(outer, count, inner)| view(outer, count, inner)));
    views
}

/// Lanes apart where rows are short, together where they are long; whole rows and ragged ones.
#[test]
fn slots_in_turns() {
    for (count, inner, pass) in [
        (128, 16, Pass::Forward),
        (128, 49, Pass::Gated),
        (256, 18, Pass::Backward),
        (16, 200, Pass::Backward),
        (16, 333, Pass::Gated),
        (16, 1030, Pass::Forward),
    ] {
        for reduction in [
            slots(view(5, count, inner)),
            halves(slots(view(5, count, 2 * inner))),
        ] {
            let plan = Plan::new(
                reduction,
                pass,
                forced(Some(Strategy::SplitRows)),
                &limits(Cpu),
            )
            .expect("a small plan");
            assert!(plan.in_turns(), "{plan:?}");
            invariants::check(&plan, reduction, pass, &limits(Cpu));
            replay(&plan, reduction);
        }
    }
}

#[test]
fn every_element_is_counted_and_written_by_its_own_slot() {
    let mut plans = [0; 3];
    for view in small_views() {
        for class in [Gpu, Cpu] {
            let more = replay_all(slots(view), &limits(class));
            plans = std::array::from_fn(|i| plans[i] + more[i]);
        }
    }
    assert!(plans.iter().all(|&plans| plans > 500), "{plans:?}");
}

#[test]
fn windows_change_nothing_of_that() {
    let mut windows = 0;
    for view in small_views() {
        for (class, bytes) in [(Gpu, 1024), (Cpu, 2048), (Gpu, 4096), (Cpu, 4100)] {
            let limits = Limits {
                max_binding_bytes: bytes,
                max_groups: 600,
                ..limits(class)
            };
            if view.numel() > 20_000 || view.count > 200 && view.inner == 1 {
                continue;
            }
            for strategy in strategies(slots(view)) {
                let options = forced(strategy);
                for pass in [Pass::Flat, Pass::Backward] {
                    let plan =
                        Plan::new(slots(view), pass, options, &limits).expect("a small plan");
                    invariants::check(&plan, slots(view), pass, &limits);
                    replay(&plan, slots(view));
                    windows = windows.max(plan.cuts.len());
                }
            }
        }
    }
    assert!(windows > 100, "at most {windows} windows");
}

#[test]
fn windows_of_several_slices_number_them_without_a_gap() {
    let views = [
        (1, 1, 90_004),
        (1, 2, 70_001),
        (5, 3, 14_004),
        (3, 5, 30_001),
        (2, 3, 50_002),
        (40_000, 3, 1),
        (9000, 36, 1),
    ];
    let mut most = 0;
    for (outer, count, inner) in views {
        for class in [Gpu, Cpu] {
            let limits = Limits {
                max_binding_bytes: 1 << 17,
                ..limits(class)
            };
            let view = view(outer, count, inner);
            for strategy in strategies(slots(view)) {
                let plan = Plan::new(
                    slots(view),
                    Pass::CumulativeForward,
                    forced(strategy),
                    &limits,
                );
                let plan = plan.expect("a small plan");
                invariants::check(&plan, slots(view), Pass::CumulativeForward, &limits);
                replay(&plan, slots(view));
                most = most.max(plan.partials as usize / plan.cuts.len());
            }
        }
    }
    assert!(most > 1, "no window has several slices");
}

#[test]
fn a_grid_of_three_by_three_is_enough_for_nine_groups() {
    for (class, view) in [(Gpu, view(3, 9, 700)), (Cpu, view(40, 7, 40))] {
        let limits = Limits {
            max_groups: 3,
            ..limits(class)
        };
        replay_all(slots(view), &limits);
    }
}
