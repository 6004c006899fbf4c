//! Random reductions of every size in every kind of device: small ones are replayed.

use std::panic::catch_unwind;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::replay::replay;
use super::{Cpu, Error, Gains, Gpu, Limits, Pass, Plan, PlanOptions, Reduction, Strategy, View};
use super::{groups, halves, invariants, is_too_wide, passes, rows_of, slots, view};

/// A dimension of about `max` at most: of any size, but often one, odd or whole vec4s.
fn dimension(rng: &mut Pcg64, max: usize) -> usize {
    let max = max.max(1);
    let bits = rng.random_range(0..=max.ilog2());
    let size = rng.random_range(1_usize << bits..2 << bits).min(max);
    match rng.random_range(0..5) {
        0 => 1,
        1 => size | 1,
        2 => (size & !3).max(1),
        3 => 1 << bits,
        _ => size,
    }
}

/// A view with at most about `max` elements, its dimensions in any proportion and order.
fn draw_view(rng: &mut Pcg64, max: usize) -> View {
    let count = dimension(rng, max);
    let room = (max / count).max(1);
    match rng.random_range(0..6) {
        0 | 1 => view(dimension(rng, room), count, 1),
        2 => view(room, count, 1),
        3 => view(1, count, room),
        _ => {
            let inner = dimension(rng, room);
            view(dimension(rng, room / inner), count, inner)
        }
    }
}

/// A reduction of any kind and type over at most about `max` elements.
fn draw_reduction(rng: &mut Pcg64, max: usize) -> Reduction {
    let reduction = draw_f32(rng, max);
    if rng.random_bool(0.3) {
        halves(reduction)
    } else {
        reduction
    }
}

fn draw_f32(rng: &mut Pcg64, max: usize) -> Reduction {
    match rng.random_range(0..8) {
        0..=3 => slots(draw_view(rng, max)),
        4 => {
            let batch = dimension(rng, max);
            let view = draw_view(rng, (max / batch).max(1));
            groups(batch, view, draw_fan(rng, view.count))
        }
        5 => {
            // Entries that do not fold into one.
            let batch = 1 + dimension(rng, max.isqrt());
            let room = max / batch;
            let outer = 1 + dimension(rng, room.isqrt());
            let count = 1 + dimension(rng, room / outer);
            let inner = match rng.random_range(0..2) {
                0 => 1,
                _ => dimension(rng, room / outer / count),
            };
            groups(batch, view(outer, count, inner), draw_fan(rng, count))
        }
        kind => {
            let rows = dimension(rng, max);
            rows_of(rows, dimension(rng, max / rows))[kind % 2]
        }
    }
}

fn draw_fan(rng: &mut Pcg64, count: usize) -> usize {
    match rng.random_range(0..4) {
        0 => 1,
        1 => count,
        _ => gcd(count, dimension(rng, count)),
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn draw_limits(rng: &mut Pcg64) -> Limits {
    let binding = match rng.random_range(0..6) {
        0 => 1 << 27,
        1 => (1 << 32) - 4,
        2 => (1 << 32) - 1,
        3 => (1 << 20) + rng.random_range(0_u64..1 << 20),
        _ => 1 << rng.random_range(20..=32),
    };
    let max_groups = match rng.random_range(0..4) {
        0 => 1 << rng.random_range(0..16),
        1 => rng.random_range(1..65_535),
        _ => 65_535,
    };
    Limits {
        class: if rng.random_bool(0.5) { Gpu } else { Cpu },
        int64: rng.random_bool(0.5),
        subgroups: [None, Some((8, 8)), Some((8, 32))][rng.random_range(0..3)],
        max_groups,
        max_binding_bytes: binding,
        max_buffer_bytes: 1 << 50,
        offset_alignment: 256,
    }
}

fn draw_options(rng: &mut Pcg64, reduction: Reduction, limits: &Limits) -> PlanOptions {
    let strategy = match rng.random_range(0..8) {
        _ if reduction.gains == Gains::Across => Some(Strategy::SplitColumns),
        0 => Some(Strategy::SplitRows),
        1 => Some(Strategy::SplitColumns),
        2 => Some(Strategy::Resident),
        _ => None,
    };
    let class = match rng.random_range(0..4) {
        0 => Some(Gpu),
        1 => Some(Cpu),
        _ => None,
    };
    let options = PlanOptions { strategy, class };
    // What the operations refuse is never planned.
    let refused = match strategy {
        Some(Strategy::SplitColumns) => {
            !matches!(Plan::refusal(reduction, options, limits), Ok(None))
        }
        _ => false,
    };
    PlanOptions {
        strategy: strategy.filter(|_| !refused),
        class,
    }
}

/// About how many windows a tensor has at the most: as many as fill bindings, or one for each batch
/// entry.
fn windows(reduction: Reduction, limits: &Limits) -> u64 {
    let view = reduction.view;
    let entries = reduction.folded().view.batch as u64;
    (view.numel() as u64 * reduction.dtype.size() / limits.max_binding_bytes).max(entries)
}

/// Says what was planned when a check fails.
#[derive(Debug)]
#[expect(dead_code, reason = "it is there to be printed")]
struct Planned(Reduction, Pass, PlanOptions, Limits);

impl Drop for Planned {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{self:?}");
        }
    }
}

/// Draws what the operations ask for: a pass that the reduction has, and no row that is too long.
fn draw_pass(rng: &mut Pcg64, reduction: Reduction, limits: &Limits) -> Option<Pass> {
    // Rows that are too many are refused before the sums across them are planned.
    let across = reduction.gains == Gains::Across;
    if is_too_wide(reduction, limits) || across && reduction.view.outer > 1 << 28 {
        return None;
    }
    let passes = passes(reduction);
    Some(passes[rng.random_range(0..passes.len())])
}

/// Plans, and checks what holds for every plan and every refusal.
fn checked(
    reduction: Reduction,
    pass: Pass,
    options: PlanOptions,
    limits: &Limits,
) -> Option<Plan> {
    let _planned = Planned(reduction, pass, options, *limits);
    match Plan::new(reduction, pass, options, limits) {
        Ok(plan) => {
            check(&plan, reduction, pass, options, limits);
            Some(plan)
        }
        Err(error) => {
            check_refusal(&error, reduction, options, limits);
            None
        }
    }
}

/// Draws so many plans and counts those that are not sound.
fn fuzz(seed: u64, plans: usize) -> usize {
    let mut rng = Pcg64::seed_from_u64(seed);
    let (mut refused, mut resident, mut many, mut large, mut kinds) = (0, 0, 0, 0, [0; 4]);
    let (mut drawn, mut violations) = (0, 0);
    while drawn < plans {
        let max = 1 << rng.random_range(0..=40);
        let reduction = draw_reduction(&mut rng, max);
        let mut limits = draw_limits(&mut rng);
        // Many windows take their time, so few plans have them.
        let most = if rng.random_ratio(1, 128) { 4096 } else { 8 };
        while windows(reduction, &limits) > most && limits.max_binding_bytes < 1 << 32 {
            limits.max_binding_bytes *= 2;
        }
        if windows(reduction, &limits) > most {
            continue;
        }
        let Some(pass) = draw_pass(&mut rng, reduction, &limits) else {
            continue;
        };
        let options = draw_options(&mut rng, reduction, &limits);
        drawn += 1;
        match catch_unwind(|| checked(reduction, pass, options, &limits)) {
            Ok(Some(plan)) => {
                resident += usize::from(plan.strategy == Strategy::Resident);
                many += usize::from(plan.cuts.len() > 1);
                large += usize::from(plan.cuts.len() > 256);
                kinds[kind(reduction)] += 1;
            }
            Ok(None) => refused += 1,
            // The panic has printed what is wrong, and what was planned.
            Err(_) => violations += 1,
        }
    }
    if violations > 0 {
        return violations;
    }
    let reached = [refused, resident, many, large * 100];
    let reached = reached.iter().chain(&kinds);
    assert!(
        reached.clone().all(|n| n * 100 > plans),
        "{:?}",
        reached.collect::<Vec<_>>()
    );
    violations
}

fn kind(reduction: Reduction) -> usize {
    match reduction.gains {
        Gains::Slots => 0,
        Gains::Period(_) => 1,
        Gains::Elements => 2,
        Gains::Across => 3,
    }
}

fn check(plan: &Plan, reduction: Reduction, pass: Pass, options: PlanOptions, limits: &Limits) {
    let iterations = invariants::check(plan, reduction, pass, limits);
    if options.class.unwrap_or(limits.class) == Cpu {
        invariants::check_iterations(plan, reduction, pass, iterations);
    }
    match options.strategy {
        None | Some(Strategy::Resident) => {}
        Some(strategy) => assert_eq!(plan.strategy, strategy),
    }
}

/// Only what is too large is refused, and the message says of what there is too much.
fn check_refusal(error: &Error, reduction: Reduction, options: PlanOptions, limits: &Limits) {
    let view = reduction.view;
    let Error::TooLarge {
        name,
        needed,
        limit,
    } = error
    else {
        panic!("an unexpected {error} for {view:?} on {limits:?}");
    };
    assert!(needed > limit, "{error}");
    match *name {
        "elements of a tensor" => assert_eq!(*needed, view.numel() as u64),
        "channels" => assert_eq!(*needed, view.slots() as u64),
        "workgroups" => assert!(*limit <= u64::from(limits.max_groups).pow(2)),
        "channels of a group" => assert_eq!(*needed, reduction.fan as u64),
        "samples" => assert_eq!(*needed, view.batch as u64),
        // A resident lane keeps a word at the least, and a GPU has 32 of them or more for each slot, however few
        // its elements. Others keep one for many, but also for lanes without work.
        "words of gates" => {
            let resident = options.strategy == Some(Strategy::Resident);
            let least = if resident { 1 << 24 } else { 1 << 27 };
            assert!(view.numel() >= least, "{error} for {view:?}");
        }
        // Only tensors of 256 MiB, where channels of groups count each for all, or of many windows
        // have so many, and large groups in columns.
        "partial results of a channel" => {
            let merged = view.numel().saturating_mul(reduction.fan);
            let is_large = merged >= 1 << 26 || windows(reduction, limits) >= 4;
            let columns = options.strategy == Some(Strategy::SplitColumns);
            assert!(is_large || columns && reduction.fan > 32, "{error}");
        }
        _ => panic!("an unexpected {error}"),
    }
}

/// Draws so many small tensors with small bindings and replays their plans.
fn fuzz_replays(seed: u64, plans: usize) {
    let mut rng = Pcg64::seed_from_u64(seed);
    let (mut many, mut batches, mut kinds) = (0, 0, [0; 4]);
    for _ in 0..plans {
        let max = 1 << rng.random_range(0..=13);
        let reduction = draw_reduction(&mut rng, max);
        let limits = Limits {
            max_binding_bytes: 1 << rng.random_range(10..=14),
            ..draw_limits(&mut rng)
        };
        let Some(pass) = draw_pass(&mut rng, reduction, &limits) else {
            continue;
        };
        let options = draw_options(&mut rng, reduction, &limits);
        if let Some(plan) = checked(reduction, pass, options, &limits) {
            let _planned = Planned(reduction, pass, options, limits);
            replay(&plan, reduction);
            many += usize::from(plan.cuts.len() > 1);
            batches += usize::from(plan.count < plan.slots);
            kinds[kind(reduction)] += 1;
        }
    }
    let reached = [many, batches, kinds[0], kinds[1], kinds[2], kinds[3]];
    assert!(reached.iter().all(|n| n * 25 > plans), "{reached:?}");
}

#[test]
fn random_plans_are_sound() {
    assert_eq!(fuzz(1, 20_000), 0);
}

#[test]
fn random_small_plans_count_and_write_every_element_once() {
    fuzz_replays(3, 3000);
}

#[test]
#[ignore = "takes a minute and more; the reliability test runs it and reads what it prints"]
fn ten_million_random_plans_are_sound() {
    let wanted = std::env::var("WGNORM_PLANS").ok();
    let plans = wanted.map_or(10_000_000, |plans| {
        plans.parse().expect("a number of plans")
    });
    let violations = fuzz(2, plans);
    println!("random plans: {plans} {violations}");
    assert_eq!(violations, 0);
}
