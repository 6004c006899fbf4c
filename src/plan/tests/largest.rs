//! How long the loops of one lane are at the largest plans of a software driver, which silently ends a
//! lane that loops too often.

use super::{Cpu, Error, Form, Geometry, Gpu, Limits, PASSES, Pass, Plan, Strategy, View};
use super::{columns, forced, invariants, limits, rows, slots, strategies, view};

/// The iterations of the loops over words alone, walked by the first lane of the first workgroup,
/// whose slice is one of the longest.
fn walked(plan: &Plan) -> u64 {
    let cut = &plan.cuts[0];
    match &cut.geometry {
        Geometry::Rows(geometry) => {
            let p = rows::Params::new(plan, cut, geometry);
            let slice = p.slice_of(0);
            let sums = [rows::MOMENTS, rows::BACKWARD_SUMS];
            let sums = sums.map(|sums| rows::sum(&p, &slice, 0, sums, |_, _| {}));
            let writes = [4, 2].map(|unroll| rows::write(&p, &slice, 0, unroll, |_, _| {}));
            sums.into_iter().chain(writes).max().unwrap_or(0)
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

/// The most iterations of a lane in the plans of a view that are not refused; how many those are.
fn longest(view: View, limits: &Limits) -> (u64, usize) {
    let (mut most, mut plans) = (0, 0);
    for strategy in strategies(slots(view)) {
        for pass in PASSES {
            match Plan::new(slots(view), pass, forced(strategy), limits) {
                Ok(plan) => {
                    let iterations = invariants::check(&plan, slots(view), pass, limits);
                    let walked = walked(&plan);
                    let walked = if pass == Pass::Flat { 0 } else { walked };
                    assert!(walked <= iterations, "{walked} were announced {iterations}");
                    if plan.workgroup == 8 {
                        invariants::check_iterations(&plan, slots(view), pass, iterations);
                    }
                    (most, plans) = (most.max(iterations), plans + 1);
                }
                Err(error) => assert!(
                    matches!(error, Error::TooLarge { .. }),
                    "{error} for {view:?}"
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
                let (iterations, _) = longest(view, &limits(Cpu));
                longest_of_all = longest_of_all.max(iterations);
            }
        }
    }
    // The test reaches what it is about.
    assert!(longest_of_all > 16_384, "{longest_of_all}");
}

#[test]
fn whole_words_and_short_sums_are_no_longer_than_announced() {
    for class in [Cpu, Gpu] {
        for count in [1, 2, 3, 7, 50, 64, 100, 512] {
            for slot in [1000, 4096, 100_000, 1_000_001] {
                longest(view(slot, count, 1), &limits(class));
                longest(view(1, count, slot), &limits(class));
                longest(view(slot / 50, count, 50), &limits(class));
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
        (Gpu, Pass::Forward, 8),
        (Gpu, Pass::Backward, 4),
        (Cpu, Pass::Forward, 32),
        (Cpu, Pass::Backward, 32),
    ] {
        for slot in 1..3000 {
            for view in [view(slot, 8, 1), view(1, 8, slot)] {
                let options = forced(Some(Strategy::Resident));
                let plan =
                    Plan::new(slots(view), pass, options, &limits(class)).expect("a small plan");
                let words = match plan.form {
                    Form::HeldRows(words) | Form::HeldColumns(words) => words as usize,
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
