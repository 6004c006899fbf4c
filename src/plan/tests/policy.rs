//! What the planner chooses, and that it obeys.

use super::{Cpu, Error, Gpu, Limits, PASSES, Pass, Plan, PlanOptions, Strategy, View};
use super::{forced, groups, limits, slots, view};
use crate::gpu::DeviceClass;
use crate::plan::{Form, Geometry, Reduce, Word};

fn chosen(view: View, pass: Pass, class: DeviceClass) -> (Strategy, Word) {
    let plan = Plan::new(slots(view), pass, PlanOptions::default(), &limits(class));
    let plan = plan.expect("a plan of a usual size");
    (plan.strategy, plan.word)
}

#[test]
fn usual_shapes_get_their_strategies() {
    use Strategy::{Resident, SplitColumns, SplitRows};
    use Word::{F32, F32x4, U64x2};
    for (view, gpu, cpu) in [
        // Convolutions, channels first and last.
        (view(32, 64, 3136), (SplitRows, F32x4), (SplitRows, U64x2)),
        (
            view(32 * 3136, 64, 1),
            (SplitColumns, F32x4),
            (SplitColumns, U64x2),
        ),
        (view(64, 512, 49), (Resident, F32), (SplitRows, U64x2)),
        (view(8, 4, 25), (Resident, F32), (Resident, F32)),
        // Linear layers.
        (view(32, 64, 1), (Resident, F32x4), (Resident, U64x2)),
        (view(256, 1024, 1), (Resident, F32x4), (Resident, U64x2)),
        (view(257, 1024, 1), (Resident, F32x4), (SplitColumns, U64x2)),
        (
            view(65_536, 32, 1),
            (SplitColumns, F32x4),
            (SplitColumns, U64x2),
        ),
        (view(31, 33, 1), (Resident, F32), (Resident, F32)),
        (view(31, 5, 1), (Resident, F32), (Resident, F32)),
        // A single channel, one value in each, and odd sizes.
        (view(64, 1, 1), (Resident, F32x4), (Resident, U64x2)),
        (view(1 << 20, 1, 1), (SplitRows, F32x4), (SplitRows, U64x2)),
        (view(1, 1, 1), (Resident, F32), (Resident, F32)),
        (view(99_991, 3, 7), (SplitRows, F32), (SplitRows, F32)),
        (view(99_991, 3, 1), (SplitColumns, F32), (SplitColumns, F32)),
    ] {
        assert_eq!(chosen(view, Pass::Forward, Gpu), gpu, "{view:?} on a GPU");
        assert_eq!(chosen(view, Pass::Forward, Cpu), cpu, "{view:?} on a CPU");
        // One dispatch that merges nothing has nothing to hold.
        for pass in [Pass::Flat, Pass::CumulativeForward] {
            for class in [Gpu, Cpu] {
                assert_ne!(chosen(view, pass, class).0, Resident, "{view:?}");
            }
        }
    }
}

#[test]
fn resident_slots_end_where_the_registers_do() {
    // 256 lanes of a GPU that hold 8 words of x, or 4 of x and dy each; 8 lanes of a software driver
    // that hold 32.
    for (class, forward, backward) in [(Gpu, 2048, 1024), (Cpu, 256, 256)] {
        for words in [forward, forward + 1, backward, backward + 1] {
            let view = view(1, 2, words * 4);
            let is_resident = |pass| chosen(view, pass, class).0 == Strategy::Resident;
            let fits = (is_resident(Pass::Forward), is_resident(Pass::Backward));
            let expected = (words <= forward, words <= backward);
            assert_eq!(fits, expected, "{words} words on {class:?}");
            let refusal = Plan::refusal(
                slots(view),
                forced(Some(Strategy::Resident)),
                &limits(class),
            );
            let refusal = refusal.expect("no size is too large");
            assert_eq!(refusal.is_none(), words <= backward);
        }
    }
}

#[test]
fn bits_of_many_small_slots_fit_a_binding() {
    for (rows, expected) in [
        (1 << 18, Strategy::Resident),
        (1 << 20, Strategy::SplitRows),
    ] {
        let plan = Plan::new(
            slots(view(1, rows, 4)),
            Pass::Gated,
            PlanOptions::default(),
            &limits(Gpu),
        );
        let plan = plan.expect("a plan");
        assert_eq!(plan.strategy, expected, "{rows} rows");
        assert!(8 * u64::from(plan.gates) <= limits(Gpu).max_binding_bytes);
    }
}

#[test]
fn words_are_64_bit_integers_only_for_software_that_has_them() {
    for class in [Gpu, Cpu] {
        for device in [Gpu, Cpu] {
            for int64 in [false, true] {
                let limits = Limits {
                    int64,
                    ..limits(device)
                };
                let options = PlanOptions {
                    strategy: None,
                    class: Some(class),
                };
                let wide = match (class, int64) {
                    (Cpu, true) => Word::U64x2,
                    _ => Word::F32x4,
                };
                for view in [view(32, 64, 3136), view(65_536, 32, 1), view(32, 64, 1)] {
                    let plan = Plan::new(slots(view), Pass::Forward, options, &limits);
                    assert_eq!(plan.expect("a plan").word, wide);
                }
            }
        }
    }
}

#[test]
fn words_straddle_slots_only_where_rows_are_longer_than_they() {
    for class in [Gpu, Cpu] {
        for inner in 1..30 {
            for (outer, count) in [(8, 8), (3, 5), (1, 4)] {
                let view = view(outer, count, inner);
                let rows = forced(Some(Strategy::SplitRows));
                let plan =
                    Plan::new(slots(view), Pass::Flat, rows, &limits(class)).expect("a plan");
                let whole = inner.is_multiple_of(4);
                let ragged = !whole && inner > 4 && view.numel().is_multiple_of(4);
                assert_eq!(plan.form == Form::Ragged, ragged, "{view:?}");
                let single = !whole && !ragged;
                assert_eq!(plan.word == Word::F32, single, "{view:?}");
            }
        }
    }
}

#[test]
fn a_workgroup_is_one_subgroup_only_where_it_is_as_wide() {
    for (class, widths, reduce) in [
        (Cpu, Some((8, 8)), Reduce::OneSubgroup),
        (Cpu, Some((4, 8)), Reduce::Subgroups),
        (Cpu, Some((4, 4)), Reduce::Subgroups),
        (Cpu, None, Reduce::Shared),
        (Gpu, Some((32, 32)), Reduce::Subgroups),
        (Gpu, Some((8, 32)), Reduce::Subgroups),
        (Gpu, None, Reduce::Shared),
    ] {
        let limits = Limits {
            subgroups: widths,
            ..limits(class)
        };
        let plan = Plan::new(
            slots(view(32, 64, 3136)),
            Pass::Forward,
            forced(None),
            &limits,
        );
        assert_eq!(plan.expect("a plan").reduce, reduce);
    }
}

#[test]
fn forced_strategies_are_obeyed_or_refused() {
    let refused = |view, strategy| {
        let refusal = Plan::refusal(slots(view), forced(strategy), &limits(Gpu));
        refusal.expect("no size is too large").is_some()
    };
    for view in [
        view(8, 6, 10),
        view(300, 7, 1),
        view(40, 1, 1),
        view(1, 5, 5),
        view(1, 2, 100_000),
        view(100_000, 2, 1),
    ] {
        assert!(!refused(view, None) && !refused(view, Some(Strategy::SplitRows)));
        let side_by_side = view.inner == 1 && view.count > 1;
        assert_eq!(refused(view, Some(Strategy::SplitColumns)), !side_by_side);
        let long = view.slot_len() > 10_000;
        assert_eq!(refused(view, Some(Strategy::Resident)), long, "{view:?}");
        for strategy in super::strategies(slots(view)) {
            for pass in PASSES {
                let plan =
                    Plan::new(slots(view), pass, forced(strategy), &limits(Gpu)).expect("a plan");
                let held = matches!(pass, Pass::Forward | Pass::Gated | Pass::Backward) && !long;
                match strategy {
                    Some(Strategy::Resident) => {
                        assert_eq!(plan.strategy == Strategy::Resident, held);
                    }
                    Some(strategy) => assert_eq!(plan.strategy, strategy),
                    None => {}
                }
            }
        }
    }
}

#[test]
fn refusals_of_no_size_overflow() {
    let most = usize::MAX;
    for view in [
        view(most, 1, 3),
        view(1, 3, most),
        view(most, 3, most),
        view(3, most, 1),
    ] {
        for reduction in [slots(view), groups(most, view, 1)] {
            for strategy in [None, Some(Strategy::SplitColumns)] {
                let refusal = Plan::refusal(reduction, forced(strategy), &limits(Gpu));
                assert!(strategy.is_some() || refusal == Ok(None), "{refusal:?}");
                let plan = Plan::new(reduction, Pass::Forward, forced(strategy), &limits(Gpu));
                assert!(matches!(plan, Err(Error::TooLarge { .. })), "{plan:?}");
            }
        }
    }
}

#[test]
fn plans_depend_on_nothing_but_their_arguments() {
    for view in [view(32, 64, 49), view(1000, 50, 1), view(1, 1, 1 << 26)] {
        for class in [Gpu, Cpu] {
            for pass in PASSES {
                let plan =
                    || Plan::new(slots(view), pass, forced(None), &limits(class)).expect("a plan");
                assert_eq!(plan(), plan());
            }
        }
    }
}

#[test]
fn refusals_carry_both_numbers() {
    let refusal = |view, max_groups| {
        let limits = Limits {
            max_groups,
            ..limits(Cpu)
        };
        let error =
            Plan::new(slots(view), Pass::Forward, forced(None), &limits).expect_err("too large");
        let Error::TooLarge {
            name,
            needed,
            limit,
        } = error
        else {
            panic!("an unexpected {error}");
        };
        (name, needed, limit)
    };
    let most = 1_usize << 40;
    assert_eq!(
        refusal(view(1, 1, most + 1), 65_535),
        ("elements of a tensor", (1 << 40) + 1, 1 << 40)
    );
    assert_eq!(
        refusal(view(usize::MAX, 3, 3), 65_535),
        ("elements of a tensor", usize::MAX as u64, 1 << 40)
    );
    assert_eq!(
        refusal(view(1, (1 << 28) + 1, 1), 65_535),
        ("channels", (1 << 28) + 1, 1 << 28)
    );
    assert_eq!(refusal(view(2, 10, 40_000), 3), ("workgroups", 10, 9));
}

/// The slots that a lane takes in turns, the rows of a piece of each, and the slices.
fn turns(view: View, pass: Pass) -> (u32, u32, u32) {
    let rows = forced(Some(Strategy::SplitRows));
    let plan = Plan::new(slots(view), pass, rows, &limits(Cpu)).expect("a plan of rows");
    match plan.cuts[0].geometry {
        Geometry::Rows(rows) => (rows.turns, rows.piece_words / rows.row_words, rows.slices),
        Geometry::Columns(_) => panic!("{plan:?}"),
    }
}

#[test]
fn lanes_take_slots_in_turns_where_rows_are_short_and_slots_many() {
    // Slots, the rows of a piece and slices, in a forward and in a backward. There is work for every processor.
    for (view, expected) in [
        (view(64, 512, 49), [(32, 4, 4), (32, 2, 4)]),
        (view(32, 256, 196), [(16, 4, 4), (32, 4, 1)]),
        (view(32, 128, 784), [(4, 1, 2), (32, 2, 2)]),
        // Those of tests/gpu/turns.rs.
        (view(3, 128, 16), [(2, 3, 1), (2, 3, 1)]),
        (view(5, 256, 49), [(4, 4, 1), (4, 2, 1)]),
        (view(4, 128, 196), [(2, 4, 1), (16, 4, 1)]),
        (view(6, 128, 45), [(2, 4, 1), (2, 2, 1)]),
        (view(34, 176, 400), [(2, 1, 1), (22, 2, 1)]),
        (view(300, 64, 25), [(8, 8, 8), (8, 4, 8)]),
        // Long rows, along which all lanes walk together.
        (view(32, 64, 3136), [(8, 1, 2), (8, 1, 2)]),
        (view(3, 24, 2048), [(3, 1, 1), (3, 1, 1)]),
        (view(5, 16, 1029), [(2, 4, 1), (2, 2, 1)]),
    ] {
        for (pass, expected) in [Pass::Forward, Pass::Backward].into_iter().zip(expected) {
            assert_eq!(turns(view, pass), expected, "{view:?} {pass:?}");
            // Rows of more than 128 values are long for a backward.
            let is_short = view.inner <= if pass.reads_dy() { 128 } else { 1024 };
            let (slots, _, slices) = expected;
            let beside = if is_short { 8 } else { 1 };
            let groups = view.count as u32 / (beside * slots) * slices;
            assert!(groups >= 8, "{view:?} {pass:?}");
        }
    }
    // Where slots do not fill a workgroup, lanes walk together.
    assert_eq!(turns(view(64, 50, 169), Pass::Backward), (25, 4, 4));
    // One slot each where rows are long, slots few, or memory goes on from one row of a slot to its next.
    for view in [
        view(150, 16, 49),
        view(16, 80, 196),
        view(32, 64, 3_136 * 8),
        view(64, 16, 49),
        view(64, 50, 169),
        view(1, 512, 49),
    ] {
        assert_eq!(turns(view, Pass::Flat).0, 1, "{view:?}");
    }
}

#[test]
fn columns_leave_no_processor_idle() {
    // Blocks of a row and slices of the rows: in a flat pass, a forward and a backward.
    for (view, expected) in [
        (view(260, 1024, 1), [(2, 2), (8, 1), (2, 1)]),
        (view(260, 1000, 1), [(8, 1), (8, 1), (4, 1)]),
        (view(512, 1024, 1), [(2, 4), (8, 1), (2, 1)]),
        // Resident where there is something to hold.
        (view(256, 1024, 1), [(2, 2), (128, 1), (128, 1)]),
        (view(120, 512, 1), [(4, 1), (32, 1), (32, 1)]),
        (view(16 * 49, 512, 1), [(1, 6), (1, 2), (1, 2)]),
        (view(4 * 196, 128, 1), [(1, 2), (1, 2), (1, 2)]),
        (view(2 * 196, 128, 1), [(1, 1), (1, 1), (1, 1)]),
        (view(32 * 3136, 64, 1), [(1, 13), (1, 13), (1, 13)]),
    ] {
        for (pass, expected) in [Pass::Flat, Pass::Forward, Pass::Backward]
            .into_iter()
            .zip(expected)
        {
            let plan = Plan::new(slots(view), pass, PlanOptions::default(), &limits(Cpu));
            let plan = plan.expect("a plan of a usual size");
            let Geometry::Columns(columns) = plan.cuts[0].geometry else {
                panic!("{view:?} {pass:?} has {:?}", plan.strategy)
            };
            let found = (columns.blocks, columns.slices);
            assert_eq!(found, expected, "{view:?} {pass:?}");
        }
    }
}
