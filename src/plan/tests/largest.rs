//! How long the loops of one lane are at the largest plans of a software driver, which silently ends a
//! lane that loops too often.

use super::{Cpu, Error, Form, Geometry, Gpu, Limits, PASSES, Pass, Plan, Reduction, Strategy};
use super::{columns, forced, groups, invariants, is_too_wide, limits, passes, rows};
use super::{rows_of, slots, strategies, view};

/// The iterations of the loops over words alone, walked by the first lane of the first workgroup,
/// whose slice is one of the longest.
fn walked(plan: &Plan) -> u64 {
    let cut = &plan.cuts[0];
    match &cut.geometry {
        Geometry::Rows(geometry) => {
            let p = rows::Params::new(plan, cut, geometry);
            let slice = p.slice_of(0, 0, 0);
            let sums = [rows::MOMENTS, rows::BACKWARD_SUMS];
            let sums = sums.map(|sums| rows::sum(&p, &slice, 0, sums, |_, _| {}));
            let writes = [4, 2].map(|unroll| rows::write(&p, &slice, 0, unroll, |_, _| {}));
            let turns = match plan.form {
                Form::HeldRows(_) => 1,
                _ => u64::from(p.turns),
            };
            turns * sums.into_iter().chain(writes).max().unwrap_or(0)
        }
        Geometry::Columns(geometry) => {
            let p = columns::Params::new(plan, cut, geometry);
            let walk = p.walk_of(&p.slice_of(0), 0);
            let at_once = [false, true].map(|dy| columns::rows_at_once(p.span, dy));
            let walks = at_once.map(|rows| p.walk_rows(&walk, rows, |_, _| {}));
            walks[0].max(walks[1])
        }
    }
}

/// The most iterations of a lane in the plans of a reduction that are not refused; how many those are.
fn longest(reduction: Reduction, limits: &Limits) -> (u64, usize) {
    let (mut most, mut plans) = (0, 0);
    let columns = forced(Some(Strategy::SplitColumns));
    let has_columns = matches!(Plan::refusal(reduction, columns, limits), Ok(None));
    for strategy in strategies(reduction) {
        if strategy == columns.strategy && !has_columns {
            continue;
        }
        for &pass in passes(reduction) {
            match Plan::new(reduction, pass, forced(strategy), limits) {
                Ok(plan) => {
                    let iterations = invariants::check(&plan, reduction, pass, limits);
                    let walked = walked(&plan);
                    let walked = if pass == Pass::Flat { 0 } else { walked };
                    assert!(walked <= iterations, "{walked} were announced {iterations}");
                    if plan.workgroup == 8 {
                        invariants::check_iterations(&plan, reduction, pass, iterations);
                    }
                    (most, plans) = (most.max(iterations), plans + 1);
                }
                Err(error) => assert!(
                    matches!(error, Error::TooLarge { .. }),
                    "{error} for {reduction:?}"
                ),
            }
        }
    }
    (most, plans)
}

#[test]
fn no_lane_of_the_largest_plans_loops_too_often() {
    let most = 1 << 31;
    let mut longest_of_all = 0;
    for count in [1, 2, 3, 50, 64, 257, 512, 1024, 1 << 20] {
        for numel in [most, most / 4 + 12, 1 << 28, 1 << 25] {
            let slot = numel / count;
            let views = [1, 2, 5, 49, 3136, slot].map(|inner| view(slot / inner, count, inner));
            for view in views.into_iter().filter(|view| view.outer > 0) {
                let (iterations, _) = longest(slots(view), &limits(Cpu));
                longest_of_all = longest_of_all.max(iterations);
            }
        }
    }
    // The test reaches what it is about.
    assert!(longest_of_all > 16_384, "{longest_of_all}");
}

#[test]
fn no_lane_of_large_groups_and_rows_loops_too_often() {
    let limits = limits(Cpu);
    let (mut longest_of_all, mut plans) = (0, 0);
    let mut reach = |reduction: Reduction| {
        if !is_too_wide(reduction, &limits) {
            let (iterations, planned) = longest(reduction, &limits);
            longest_of_all = longest_of_all.max(iterations);
            plans += planned;
        }
    };
    for numel in [1 << 31, 1 << 28, 1 << 22] {
        for batch in [1, 2, 64, 1000, 393_216] {
            for count in [1, 3, 64, 512, 4096, 96_000] {
                let room = numel / batch / count;
                let views =
                    [1, 49, 3136, room].map(|inner| view(room / inner.max(1), count, inner));
                // Entries of several rows are a window each, which takes its time.
                let fits =
                    |view: &crate::View| view.numel() > 0 && (batch <= 64 || view.outer == 1);
                for view in views.into_iter().filter(fits) {
                    for fan in [1, count / 32, count] {
                        if fan > 0 && count % fan == 0 {
                            reach(groups(batch, view, fan));
                        }
                    }
                }
            }
        }
        for inner in [1, 3, 4, 768, 4096, 1 << 20] {
            rows_of(numel / inner, inner)
                .into_iter()
                .for_each(&mut reach);
        }
    }
    assert!(
        longest_of_all > 32_768 && plans > 1000,
        "{longest_of_all} {plans}"
    );
}

#[test]
fn whole_words_and_short_sums_are_no_longer_than_announced() {
    for class in [Cpu, Gpu] {
        for count in [1, 2, 3, 7, 50, 64, 100, 512] {
            for slot in [1000, 4096, 100_000, 1_000_001] {
                longest(slots(view(slot, count, 1)), &limits(class));
                longest(slots(view(1, count, slot)), &limits(class));
                longest(slots(view(slot / 50, count, 50)), &limits(class));
            }
        }
    }
}

#[test]
fn large_tensors_are_planned_for_every_device() {
    // 8 GiB on a GPU with the bindings of WebGPU's default limits, and 512 MiB on a software driver.
    for (class, numel) in [(Gpu, 1 << 31), (Cpu, 1 << 27)] {
        for count in [1, 2, 3, 50, 64, 257, 512, 1024, 1 << 20] {
            let slot = numel / count;
            for view in [view(32, count, slot / 32), view(slot, count, 1)] {
                for pass in PASSES {
                    let plan = Plan::new(slots(view), pass, forced(None), &limits(class));
                    if let Err(error) = plan {
                        panic!("{error} for {view:?} on {class:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn resident_lanes_hold_no_more_than_their_class_unrolls() {
    for (class, pass, most) in [
        (Gpu, Pass::Forward, [8, 8]),
        (Gpu, Pass::Backward, [4, 4]),
        (Cpu, Pass::Forward, [32, 64]),
        (Cpu, Pass::Backward, [32, 64]),
    ] {
        for slot in 1..3000 {
            for view in [view(slot, 8, 1), view(1, 8, slot)] {
                let options = forced(Some(Strategy::Resident));
                let plan =
                    Plan::new(slots(view), pass, options, &limits(class)).expect("a small plan");
                let (words, most) = match plan.form {
                    Form::HeldRows(words) => (words as usize, most[0]),
                    Form::HeldColumns(words) => (words as usize, most[1]),
                    _ => continue,
                };
                let whole = words * plan.word.width();
                let limit = if class == Cpu { most } else { most * 4 };
                let held = if class == Cpu { words } else { whole };
                assert!(held <= limit, "{held} held for {view:?}");
            }
        }
    }
}
