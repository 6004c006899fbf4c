//! The choices that kernels are linked for, against those that random plans make: each is made, and no
//! other.

use std::collections::HashSet;

use super::{Cpu, Form, Gains, Gpu, Limits, Pass, Plan, Reduction};
use super::{forced, groups, is_too_wide, limits, passes, rows_of, slots, strategies, view};
use crate::gpu::DType;
use crate::plan::{Choice, Walk};

const WALKS: [Walk; 5] = [
    Walk::Rows,
    Walk::Columns,
    Walk::Across,
    Walk::HeldRows,
    Walk::HeldColumns,
];

fn walk_of(plan: &Plan) -> Walk {
    match plan.form {
        Form::Whole | Form::Ragged => Walk::Rows,
        Form::Span(_) if plan.gains == Gains::Across => Walk::Across,
        Form::Span(_) => Walk::Columns,
        Form::HeldRows(_) => Walk::HeldRows,
        Form::HeldColumns(_) => Walk::HeldColumns,
    }
}

fn choice_of(plan: &Plan) -> Choice {
    Choice {
        word: plan.word,
        form: plan.form,
        keeps_ends: plan.keeps_ends,
        reduce: plan.walk_reduce(),
        in_turns: plan.in_turns(),
        element_gains: plan.gains == Gains::Elements,
        workgroup: plan.workgroup,
    }
}

/// The passes as far as a kernel sees them.
fn passes_of(pass: Pass) -> &'static [Pass] {
    match pass {
        Pass::Backward => &[Pass::Backward],
        Pass::Forward | Pass::CumulativeForward => &[Pass::Forward],
        Pass::Flat | Pass::Gated | Pass::CumulativeGated => &[Pass::Forward, Pass::Backward],
    }
}

/// Runs of every length that a lane or a word may care about.
fn lengths() -> impl Iterator<Item = usize> {
    let powers = (6..=14).flat_map(|power| [0, 1, 2, 4, 6].map(|less| (1 << power) - less));
    let rows = (65..=260).step_by(3).chain((300..=520).step_by(12));
    (1..=64).chain(rows).chain(powers)
}

fn reductions() -> Vec<Reduction> {
    let mut reductions = Vec::new();
    for length in lengths() {
        for times in [1, 2, 3, 7, 15, 31, 63, 200, 511, 1500, 8191] {
            reductions.push(slots(view(times, length, 1)));
            reductions.push(slots(view(1, times, length)));
            reductions.extend(rows_of(times, length));
        }
        reductions.push(groups(2, view(3, 8, length), 2));
        // Slots in turns, of lanes together and apart.
        for count in [16, 18, 128] {
            reductions.push(slots(view(3, count, length)));
            reductions.push(groups(2, view(3, count, length), 1));
        }
    }
    let of = |dtype| move |&reduction: &Reduction| Reduction { dtype, ..reduction };
    let halves = [DType::F16, DType::Bf16].map(|dtype| {
        let halves: Vec<_> = reductions.iter().map(of(dtype)).collect();
        halves
    });
    reductions.extend(halves.into_iter().flatten());
    reductions
}

/// Devices of each kind.
fn devices() -> Vec<Limits> {
    let mut devices = Vec::new();
    for (class, int64) in [(Gpu, true), (Cpu, false), (Cpu, true)] {
        devices.extend(
            [None, Some((8, 8)), Some((4, 128))].map(|subgroups| Limits {
                int64,
                subgroups,
                ..limits(class)
            }),
        );
    }
    devices
}

/// A kernel's walk, whether it is one of a backward, and a choice.
type Made = (usize, bool, Choice);

fn made(plan: &Plan, pass: Pass) -> impl Iterator<Item = Made> + use<> {
    let walk = walk_of(plan);
    let number = WALKS.iter().position(|&w| w == walk).expect("a walk");
    let choice = choice_of(plan);
    passes_of(pass)
        .iter()
        // Across the rows go sums of a backward alone.
        .filter(move |&&pass| walk != Walk::Across || pass == Pass::Backward)
        .map(move |&pass| (number, pass == Pass::Backward, choice))
}

fn all() -> HashSet<Made> {
    let mut all = HashSet::new();
    for (i, walk) in WALKS.into_iter().enumerate() {
        for pass in [Pass::Forward, Pass::Backward] {
            if walk != Walk::Across || pass == Pass::Backward {
                let choices = Choice::all(walk, pass).into_iter();
                all.extend(choices.map(|choice| (i, pass == Pass::Backward, choice)));
            }
        }
    }
    all
}

#[test]
fn plans_make_every_choice_and_no_other() {
    let all = all();
    let mut unmade = all.clone();
    for limits in devices() {
        for reduction in reductions() {
            if is_too_wide(reduction, &limits) {
                continue;
            }
            for strategy in strategies(reduction) {
                for &pass in passes(reduction) {
                    let Ok(plan) = Plan::new(reduction, pass, forced(strategy), &limits) else {
                        continue;
                    };
                    for made in made(&plan, pass) {
                        assert!(all.contains(&made), "{reduction:?} {pass:?}: {made:?}");
                        unmade.remove(&made);
                    }
                }
            }
        }
    }
    let lines: Vec<String> = unmade.iter().map(|choice| format!("{choice:?}")).collect();
    assert!(
        lines.is_empty(),
        "{} unmade:\n{}",
        lines.len(),
        lines.join("\n")
    );
}
