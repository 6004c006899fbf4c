//! The planner against the index maps of the WGSL, written a second time here: every element is
//! reached once, every partial has a place of its own, and no lane loops for longer than a driver
//! allows. `rows` and `columns` know the loops of shaders/*.wgsl by heart; whoever changes one of
//! these loops changes its twin there.

mod columns;
mod rows;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::{Geometry, Plan, PlanOptions, Strategy};
use crate::gpu::{DeviceClass, Limits};
use crate::{Error, View};

/// lavapipe silently ends an invocation after 65,535 loop iterations. Its own plans stay below a
/// quarter of that, and what tests force on it below a half: the loops counted here are estimates
/// from above, but drivers may split one loop into several.
const fn max_iterations(class: DeviceClass) -> u64 {
    match class {
        DeviceClass::Cpu => 16_384,
        DeviceClass::Gpu => 32_768,
    }
}
/// The widest workgroup of WebGPU's default limits, and its shared memory.
const MAX_INVOCATIONS: u32 = 256;
const MAX_WORKGROUP_BYTES: u32 = 12_288;
/// Bytes that lavapipe and SwiftShader bind.
const CPU_BINDING: u64 = 1 << 27;
/// Every whole number up to this one is an f32: what the kernels write as `n` of a partial.
const MAX_EXACT: u64 = 1 << 24;

fn limits(class: DeviceClass, max_groups: u32, max_binding_bytes: u64) -> Limits {
    Limits {
        class,
        max_groups,
        max_binding_bytes,
        max_buffer_bytes: u64::MAX,
        offset_alignment: 256,
    }
}

fn default_limits(class: DeviceClass) -> Limits {
    limits(class, 65_535, CPU_BINDING)
}

const fn view(outer: usize, count: usize, inner: usize) -> View {
    View {
        outer,
        count,
        inner,
    }
}

const fn forced(strategy: Option<Strategy>) -> PlanOptions {
    PlanOptions {
        strategy,
        class: None,
    }
}

/// The strategies that the view allows, and the planner's own choice.
fn strategies(view: View) -> Vec<Option<Strategy>> {
    let mut strategies = vec![None, Some(Strategy::SplitRows)];
    if view.inner == 1 && view.count > 1 {
        strategies.push(Some(Strategy::SplitColumns));
    }
    strategies
}

/// A number as the index arithmetic of the shaders has it, which must not wrap.
fn fits(value: u64) -> u32 {
    u32::try_from(value).expect("an index within u32")
}

/// `sample_at` of shaders/lib/moments.wgsl: only its hash may wrap.
fn sample_at(i: u32, n: u32, salt: u32) -> u32 {
    let scattered = (i + 1).wrapping_mul(2_654_435_761).wrapping_add(salt) >> 8;
    (i * n + scattered % n) / 10
}

/// How long the loops of one lane are at most.
#[derive(Debug, Default, Clone, Copy)]
struct Lengths {
    /// Iterations of all loops together, in the worst kernel.
    iterations: u64,
    /// Additions into one f32 before it is flushed, and flushes.
    terms: u64,
    flushes: u64,
    /// Partials that one lane adds into one f32 before it is flushed, and flushes.
    partial_terms: u64,
    partial_flushes: u64,
}

impl Lengths {
    fn max(self, other: Self) -> Self {
        Self {
            iterations: self.iterations.max(other.iterations),
            terms: self.terms.max(other.terms),
            flushes: self.flushes.max(other.flushes),
            partial_terms: self.partial_terms.max(other.partial_terms),
            partial_flushes: self.partial_flushes.max(other.partial_flushes),
        }
    }
}

/// Checks a plan by arithmetic, however large it is.
fn check(plan: &Plan, view: View, limits: &Limits) -> Lengths {
    assert_eq!(plan.count as usize, view.count);
    assert_eq!(plan.slot_len as usize, view.slot_len());
    assert!(plan.workgroup.is_power_of_two() && plan.workgroup <= MAX_INVOCATIONS);

    // The grid covers the groups, and what is too much is not a row of it.
    let [width, height] = plan.grid.map(u64::from);
    assert!(width <= limits.max_groups.into() && height <= limits.max_groups.into());
    assert!(width * height >= plan.groups.into());
    assert!(width * height - u64::from(plan.groups) < height.max(1));
    fits(width * height);

    // The state holds its header, the saved statistics and every partial.
    assert_eq!(
        plan.state_len() as u64,
        4 * (1 + u64::from(plan.count) + u64::from(plan.count) * u64::from(partials(plan)))
    );
    match &plan.geometry {
        Geometry::Rows(rows) => rows::check(plan, rows),
        Geometry::Columns(columns) => columns::check(plan, columns),
    }
}

/// Partials of one slot.
fn partials(plan: &Plan) -> u32 {
    match plan.geometry {
        Geometry::Rows(rows) => rows.slices,
        Geometry::Columns(columns) => columns.partials,
    }
}

/// A refusal is right when the plan that looser limits allow does need that much.
fn check_refusal(error: &Error, view: View, options: PlanOptions, limits: &Limits) {
    let Error::TooLarge {
        name,
        needed,
        limit,
    } = error
    else {
        panic!("an unexpected {error:?}");
    };
    assert!(needed > limit, "{error}");
    match *name {
        "elements of a tensor" => return assert_eq!(*needed, view.numel() as u64),
        "bytes of one binding" => return assert_eq!(*needed, 4 * view.numel() as u64),
        _ => {}
    }
    let wide = self::limits(limits.class, u32::MAX, u64::MAX);
    let plan = Plan::new(view, options, &wide).expect("nothing limits this plan");
    let max_groups = u64::from(limits.max_groups);
    assert_eq!(*name, "workgroups", "an unexpected {error:?}");
    assert_eq!(*needed, plan.groups.into());
    assert_eq!(*limit, max_groups * max_groups);
}

/// A dimension of about `max` at most: of any size, but often one, odd, prime or whole vec4s.
fn dimension(rng: &mut Pcg64, max: usize) -> usize {
    let bits = rng.random_range(0..=max.max(1).ilog2());
    let size = rng.random_range(1 << bits..2 << bits).min(max.max(1));
    match rng.random_range(0..6) {
        0 => 1,
        1 => size | 1,
        2 => (size & !3).max(1),
        3 => size.next_power_of_two(),
        4 => (1..=size).rev().find(|&n| is_prime(n)).unwrap_or(1),
        _ => size,
    }
}

fn is_prime(n: usize) -> bool {
    n > 1 && (2..=n.isqrt()).all(|d| !n.is_multiple_of(d))
}

/// A view with at most about `max` elements, its dimensions in any proportion.
fn draw(rng: &mut Pcg64, max: usize) -> View {
    let count = dimension(rng, max);
    let inner = if rng.random_bool(0.4) {
        1
    } else {
        dimension(rng, max / count)
    };
    view(dimension(rng, max / (count * inner)), count, inner)
}

#[test]
fn plans_of_every_size_are_sound() {
    let mut rng = Pcg64::seed_from_u64(1);
    let (mut plans, mut refused) = (0, 0);
    for _ in 0..100_000 {
        let bits = rng.random_range(0..=27);
        let view = draw(&mut rng, 1 << bits);
        for class in [DeviceClass::Gpu, DeviceClass::Cpu] {
            let max_groups = [64, 1024, 65_535, 65_535][rng.random_range(0..4)];
            let binding = match class {
                DeviceClass::Gpu => [1 << 27, 1 << 30, u64::MAX][rng.random_range(0..3)],
                DeviceClass::Cpu => [CPU_BINDING, u64::MAX][rng.random_range(0..2)],
            };
            let limits = limits(class, max_groups, binding);
            for strategy in strategies(view) {
                match Plan::new(view, forced(strategy), &limits) {
                    Ok(plan) => {
                        plans += 1;
                        let lengths = check(&plan, view, &limits);
                        assert!(
                            lengths.iterations <= max_iterations(class),
                            "{lengths:?} {view:?} {plan:?}"
                        );
                    }
                    Err(error) => {
                        refused += 1;
                        check_refusal(&error, view, forced(strategy), &limits);
                    }
                }
            }
        }
    }
    assert!(plans > 300_000 && refused > 1000, "{plans}, {refused}");
}

#[test]
fn small_plans_reach_every_element_once() {
    let mut rng = Pcg64::seed_from_u64(2);
    let mut views: Vec<View> = (0..600).map(|_| draw(&mut rng, 4000)).collect();
    for outer in [1, 2, 3, 7] {
        for count in [1, 2, 3, 4, 5, 8, 9, 33, 130] {
            views.extend([1, 2, 3, 4, 5, 8, 49].map(|inner| view(outer, count, inner)));
        }
    }
    // The GPU's plans cut only what is longer than their smallest slice.
    views.extend([
        view(1, 1, 20_011),
        view(5, 2, 9000),
        view(4100, 1, 4),
        view(3000, 7, 1),
        view(9, 1030, 1),
        view(150, 257, 1),
        view(700, 132, 1),
        view(2000, 131, 1),
        view(9000, 66, 1),
    ]);
    // A lane of the CPU's plans merges more than one block of these partials.
    views.push(view(590_000, 9, 1));
    let mut worst = Lengths::default();
    for view in views {
        for class in [DeviceClass::Gpu, DeviceClass::Cpu] {
            let limits = default_limits(class);
            for strategy in strategies(view) {
                let plan = Plan::new(view, forced(strategy), &limits).expect("a small plan");
                let lengths = check(&plan, view, &limits);
                worst = worst.max(lengths);
                let walked = match &plan.geometry {
                    Geometry::Rows(rows) => rows::walk(&plan, rows),
                    Geometry::Columns(columns) => columns::walk(&plan, columns),
                };
                assert!(
                    walked <= lengths.iterations,
                    "{walked} iterations, {lengths:?} were announced: {plan:?}"
                );
            }
        }
    }
    assert!(
        worst.flushes > 1 && worst.partial_flushes > 1,
        "no lane flushes: {worst:?}"
    );
}

#[test]
fn the_largest_plans_stay_far_below_the_loop_limit() {
    // Every shape with 2^27 elements, the most that is planned for the CPU class, as powers of two,
    // and what is a little less and does not divide well.
    let limits = limits(DeviceClass::Cpu, 65_535, u64::MAX);
    let mut worst = Lengths::default();
    let mut grow = |view| {
        for strategy in strategies(view) {
            match Plan::new(view, forced(strategy), &limits) {
                Ok(plan) => worst = worst.max(check(&plan, view, &limits)),
                Err(error) => check_refusal(&error, view, forced(strategy), &limits),
            }
        }
    };
    for count_bits in 0..=20 {
        for inner_bits in 0..=27 - count_bits {
            let outer_bits = 27 - count_bits - inner_bits;
            for less in [0, 1, 3] {
                let size = |bits: u32| (1_usize << bits).saturating_sub(less).max(1);
                grow(view(size(outer_bits), size(count_bits), size(inner_bits)));
            }
        }
    }
    // Few odd channels that cut a row into copies leave the most partials to merge.
    for count in 2..300 {
        let outer = (1 << 27) / count;
        grow(view(outer, count, 1));
        grow(view(outer & !3, count, 1));
    }
    assert!(
        worst.iterations <= max_iterations(DeviceClass::Cpu),
        "{worst:?}"
    );
    // The test reaches what it is about: lanes with thousands of iterations, and long merges.
    assert!(worst.iterations > 8192, "{worst:?}");
    assert!(worst.partial_flushes > 16, "{worst:?}");
}

#[test]
fn the_cpu_class_stops_at_512_mib() {
    let half = view(1 << 17, 1024, 1);
    let more = view((1 << 17) + 1, 1024, 1);
    let planned = |view, device, class| {
        let options = PlanOptions {
            strategy: None,
            class,
        };
        let limits = limits(device, 65_535, u64::MAX);
        Plan::new(view, options, &limits).map_err(|error| error.to_string())
    };
    let refusal = "bytes of one binding: 536875008 exceeds the device's limit of 536870912";
    let (gpu, cpu) = (DeviceClass::Gpu, DeviceClass::Cpu);
    for (device, class) in [(cpu, None), (cpu, Some(cpu)), (gpu, Some(cpu))] {
        planned(half, device, class).expect("a plan of the limit's size");
        assert_eq!(planned(more, device, class), Err(refusal.to_owned()));
    }
    for (device, class) in [(gpu, None), (gpu, Some(gpu)), (cpu, Some(gpu))] {
        planned(more, device, class).expect("a plan without that limit");
    }
}

#[test]
fn refusals_carry_both_numbers() {
    let refused = |view, max_groups, binding| {
        let limits = limits(DeviceClass::Cpu, max_groups, binding);
        let error = Plan::new(view, PlanOptions::default(), &limits).expect_err("too large");
        check_refusal(&error, view, PlanOptions::default(), &limits);
        error.to_string()
    };
    let huge = view(usize::MAX, 3, 3);
    let limits = default_limits(DeviceClass::Cpu);
    let error = Plan::new(huge, PlanOptions::default(), &limits).expect_err("too large");
    assert_eq!(
        error.to_string(),
        format!(
            "elements of a tensor: {} exceeds the device's limit of {}",
            usize::MAX,
            i32::MAX
        )
    );
    assert_eq!(
        refused(view(1 << 15, 1024, 1), 65_535, CPU_BINDING - 1),
        "bytes of one binding: 134217728 exceeds the device's limit of 134217727"
    );
    assert_eq!(
        refused(view(2, 5000, 4), 64, CPU_BINDING),
        "workgroups: 5000 exceeds the device's limit of 4096"
    );
}

#[test]
fn indices_do_not_wrap_on_the_largest_devices() {
    let mut rng = Pcg64::seed_from_u64(3);
    let limits = limits(DeviceClass::Gpu, 65_535, u64::MAX);
    let (mut plans, mut refused) = (0, 0);
    for i in 0..4000 {
        let count = dimension(&mut rng, 1_000_000);
        let inner = if rng.random_bool(0.5) {
            1
        } else {
            dimension(&mut rng, 10_000)
        };
        let room = [u32::MAX, i32::MAX as u32, 1 << 31, 1 << 30][i % 4] as usize;
        let view = view((room / (count * inner)).max(1), count, inner);
        for strategy in strategies(view) {
            match Plan::new(view, forced(strategy), &limits) {
                Ok(plan) => {
                    plans += 1;
                    check(&plan, view, &limits);
                }
                Err(error) => {
                    refused += 1;
                    assert!(matches!(error, Error::TooLarge { .. }), "{error:?}");
                }
            }
        }
    }
    assert!(plans > 1000 && refused > 1000, "{plans}, {refused}");
}
