//! Tensors of 16-bit elements, whose narrowest word has two of them: no u32 may have two writers.

use super::replay::replay;
use super::small::{replay_all, small_views};
use super::{Cpu, Form, Gpu, Limits, Pass, Plan, PlanOptions, Strategy};
use super::{forced, halves, invariants, is_too_wide, limits, passes, slots, strategies, view};
use super::{groups, kinds, rows_of};
use crate::DType;
use crate::plan::{Half, Reduction, Word};

/// Every small reduction of any kind.
fn small() -> impl Iterator<Item = Reduction> {
    let views = small_views().into_iter().map(slots);
    let odd = [
        groups(3, view(3, 5, 3), 5),
        groups(2, view(7, 3, 1), 3),
        groups(5, view(49, 9, 1), 3),
        groups(4, view(5, 3, 7), 1),
    ];
    views
        .chain(kinds::small_groups())
        .chain(kinds::small_rows())
        .chain(odd)
        .map(halves)
}

#[test]
fn every_half_is_counted_and_written_by_its_own_slot() {
    let mut plans = [0; 3];
    for reduction in small() {
        for class in [Gpu, Cpu] {
            let more = replay_all(reduction, &limits(class));
            plans = std::array::from_fn(|i| plans[i] + more[i]);
        }
    }
    assert!(plans.iter().all(|&plans| plans > 500), "{plans:?}");
}

#[test]
fn windows_change_nothing_for_halves() {
    let (mut windows, mut refused, mut kept) = (0, 0, 0);
    for reduction in small().filter(|reduction| reduction.view.numel() < 10_000) {
        for (class, bytes) in [(Gpu, 1024), (Cpu, 4100)] {
            let limits = Limits {
                max_binding_bytes: bytes,
                max_groups: 600,
                ..limits(class)
            };
            for strategy in strategies(reduction) {
                let options = forced(strategy);
                let refusal = Plan::refusal(reduction, options, &limits).expect("no refusal");
                if is_too_wide(reduction, &limits) || refusal.is_some() {
                    refused += 1;
                    continue;
                }
                for &pass in passes(reduction).iter().rev().take(1) {
                    let plan = Plan::new(reduction, pass, options, &limits);
                    let plan = plan.expect("a small plan");
                    invariants::check(&plan, reduction, pass, &limits);
                    replay(&plan, reduction);
                    windows = windows.max(plan.cuts.len());
                    kept += usize::from(plan.keeps_ends);
                }
            }
        }
    }
    assert!(windows > 30, "at most {windows} windows");
    assert!(refused > 100 && kept > 100, "{refused} {kept}");
}

#[test]
fn usual_shapes_of_halves_get_their_words() {
    let half = Half::F16;
    let (narrow, gpu, cpu) = (Word::U32(half), Word::U32x2(half), Word::U64(half));
    for (view, on_gpu, on_cpu) in [
        (
            view(32, 64, 3136),
            (Strategy::SplitRows, gpu),
            (Strategy::SplitRows, cpu),
        ),
        (
            view(65_536, 32, 1),
            (Strategy::SplitColumns, gpu),
            (Strategy::SplitColumns, cpu),
        ),
        (
            view(256, 1024, 1),
            (Strategy::Resident, gpu),
            (Strategy::SplitColumns, cpu),
        ),
        // Planes of 7x7, which no workgroup can own without half a u32 of its neighbour's.
        (
            view(64, 512, 49),
            (Strategy::SplitRows, gpu),
            (Strategy::SplitRows, cpu),
        ),
        (
            view(63, 511, 50),
            (Strategy::Resident, narrow),
            (Strategy::SplitRows, narrow),
        ),
        (
            view(63, 511, 49),
            (Strategy::SplitRows, narrow),
            (Strategy::SplitRows, narrow),
        ),
        // Columns begin with whole words, or not at all.
        (
            view(30, 33, 1),
            (Strategy::SplitColumns, narrow),
            (Strategy::SplitColumns, narrow),
        ),
        (
            view(31, 33, 1),
            (Strategy::SplitRows, narrow),
            (Strategy::SplitRows, narrow),
        ),
    ] {
        for (class, expected) in [(Gpu, on_gpu), (Cpu, on_cpu)] {
            let plan = Plan::new(
                halves(slots(view)),
                Pass::Forward,
                PlanOptions::default(),
                &limits(class),
            );
            let plan = plan.expect("a plan of a usual size");
            assert_eq!(
                (plan.strategy, plan.word),
                expected,
                "{view:?} on {class:?}"
            );
        }
    }
}

#[test]
fn bf16_is_planned_as_f16_is() {
    let mut compared = 0;
    for reduction in small().filter(|reduction| reduction.view.numel() < 1000) {
        for &pass in passes(reduction) {
            let options = forced(strategies(reduction)[0]);
            let plan = |dtype| {
                let reduction = Reduction { dtype, ..reduction };
                Plan::new(reduction, pass, options, &limits(Gpu)).expect("a small plan")
            };
            let (f16, bf16) = (plan(DType::F16), plan(DType::Bf16));
            assert_ne!(f16.word, bf16.word);
            let word = f16.word;
            assert_eq!(f16, Plan { word, ..bf16 });
            compared += 1;
        }
    }
    assert!(compared > 100);
}

#[test]
fn columns_of_an_odd_number_of_halves_are_refused_by_name() {
    for (reduction, refused) in [
        (slots(view(31, 33, 1)), true),
        (slots(view(30, 33, 1)), false),
        (groups(2, view(31, 33, 1), 1), true),
        (groups(2, view(31, 32, 1), 1), false),
        // Sums across rows can do with one element at a time.
        (rows_of(31, 33)[1], false),
    ] {
        let columns = forced(Some(Strategy::SplitColumns));
        let refusal = |reduction| {
            let refusal = Plan::refusal(reduction, columns, &limits(Gpu));
            refusal.expect("no size is too large")
        };
        assert_eq!(refusal(reduction), None, "{reduction:?} of f32");
        let reason = refusal(halves(reduction));
        assert_eq!(reason.is_some(), refused, "{reduction:?}");
        assert!(reason.is_none_or(|reason| reason.contains("16-bit")));
    }
}

/// A binding holds twice as many of them.
#[test]
fn windows_of_halves_have_as_many_bytes() {
    let long = slots(view(1, 1, 1 << 20));
    let limits = Limits {
        max_binding_bytes: 1 << 18,
        ..limits(Gpu)
    };
    let cuts = |reduction| {
        let plan = Plan::new(reduction, Pass::Flat, forced(None), &limits);
        plan.expect("a plan").cuts
    };
    let (floats, halves) = (cuts(long), cuts(halves(long)));
    assert!(
        floats.len() > halves.len() && halves.len() > 8,
        "{}",
        halves.len()
    );
    let most = halves.iter().map(|cut| cut.len).max();
    assert!(most.is_some_and(|most| most > (1 << 18) / 4 && most <= (1 << 18) / 2));
    let plan = Plan::new(long, Pass::Flat, forced(None), &limits).expect("a plan");
    assert_eq!(plan.form, Form::Whole);
}
