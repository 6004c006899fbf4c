//! Random views of every size in every kind of device.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::{Cpu, Error, Gpu, Limits, PASSES, Pass, Plan, PlanOptions, Reduction, Strategy, View};
use super::{invariants, slots, view};

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

fn draw_options(rng: &mut Pcg64, view: View, limits: &Limits) -> PlanOptions {
    let strategy = match rng.random_range(0..8) {
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
            !matches!(Plan::refusal(slots(view), options, limits), Ok(None))
        }
        _ => false,
    };
    PlanOptions {
        strategy: strategy.filter(|_| !refused),
        class,
    }
}

/// About how many windows a tensor has.
fn windows(view: View, limits: &Limits) -> u64 {
    view.numel() as u64 * 4 / limits.max_binding_bytes
}

/// Says what was planned when a check fails.
#[derive(Debug)]
#[expect(dead_code, reason = "it is there to be printed")]
struct Planned(View, Pass, PlanOptions, Limits);

impl Drop for Planned {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{self:?}");
        }
    }
}

/// Draws so many plans and checks what holds for all of them.
fn fuzz(seed: u64, plans: usize) {
    let mut rng = Pcg64::seed_from_u64(seed);
    let (mut refused, mut resident, mut many, mut large) = (0, 0, 0, 0);
    for _ in 0..plans {
        let max = 1 << rng.random_range(0..=40);
        let view = draw_view(&mut rng, max);
        let mut limits = draw_limits(&mut rng);
        // Many windows take their time, so few plans have them.
        let most = if rng.random_ratio(1, 128) { 4096 } else { 8 };
        while windows(view, &limits) > most && limits.max_binding_bytes < 1 << 32 {
            limits.max_binding_bytes *= 2;
        }
        if windows(view, &limits) > most {
            continue;
        }
        let options = draw_options(&mut rng, view, &limits);
        let pass = PASSES[rng.random_range(0..PASSES.len())];
        let _planned = Planned(view, pass, options, limits);
        match Plan::new(slots(view), pass, options, &limits) {
            Ok(plan) => {
                check(&plan, slots(view), pass, options, &limits);
                resident += usize::from(plan.strategy == Strategy::Resident);
                many += usize::from(plan.cuts.len() > 1);
                large += usize::from(plan.cuts.len() > 256);
            }
            Err(error) => {
                check_refusal(&error, view, &limits);
                refused += 1;
            }
        }
    }
    let reached = [refused, resident, many, large * 100];
    assert!(reached.iter().all(|n| n * 100 > plans), "{reached:?}");
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
fn check_refusal(error: &Error, view: View, limits: &Limits) {
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
        "channels" => assert_eq!(*needed, view.count as u64),
        "workgroups" => assert!(*limit <= u64::from(limits.max_groups).pow(2)),
        // Only tensors of 256 MiB or of many windows have so many.
        "partial results of a channel" => assert!(
            view.numel() >= 1 << 26 || windows(view, limits) >= 4,
            "{error} {view:?} {limits:?}"
        ),
        _ => panic!("an unexpected {error}"),
    }
}

#[test]
fn random_plans_are_sound() {
    fuzz(1, 20_000);
}

#[test]
#[ignore = "takes ten seconds and more in a debug build; run it in release"]
fn ten_million_random_plans_are_sound() {
    fuzz(2, 10_000_000);
}
