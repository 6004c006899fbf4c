//! Plans of matrices: every element is dealt once, no lane runs too long, nothing overlaps.

use super::{Launch, MatrixPlan, QUAD, Run, Runs, Side};
use crate::gpu::{DeviceClass, Limits};
use crate::{Error, View};

const LIMITS: Limits = Limits {
    class: DeviceClass::Gpu,
    int64: true,
    subgroups: Some((8, 8)),
    max_groups: 65_535,
    max_binding_bytes: 128 << 20,
    max_buffer_bytes: 1 << 30,
    offset_alignment: 64,
};
/// After so many loop iterations lavapipe stops a lane.
const MAX_ITERATIONS: usize = 65_535;

fn view(outer: usize, count: usize, inner: usize) -> View {
    View {
        batch: 1,
        outer,
        count,
        inner,
    }
}

/// From one element to a whole binding, in every proportion.
fn views() -> Vec<View> {
    let largest = (LIMITS.max_binding_bytes / 4) as usize;
    let mut views = vec![view(512, 512, 9), view(1, 512, 4608), view(4608, 512, 1)];
    let mut sizes = vec![1, 3, 8, 100, 4096, 65_537, 1 << 20];
    sizes.extend([largest, largest / 3]);
    for &outer in &sizes {
        for &count in &sizes {
            let slots = outer.saturating_mul(count);
            let inner = sizes
                .iter()
                .filter(|&&inner| slots.saturating_mul(inner) <= largest);
            views.extend(inner.map(|&inner| view(outer, count, inner)));
        }
    }
    views
}

/// The most units of one slice of `total`.
fn share(launch: &Launch) -> usize {
    let units = launch.total.div_ceil(launch.unit);
    (units.div_ceil(launch.slices) * launch.unit) as usize
}

/// An upper bound of the loop iterations of one lane of each kernel, were no loop unrolled.
fn iterations(plan: &MatrixPlan) -> [(&'static str, usize); 6] {
    let lanes = plan.workgroup as usize;
    let levels =
        |steps: usize, each: usize| (steps + 1) * (1 + each) + (steps / 32 + 2) * (2 + each);
    let (tiles, span) = (plan.tiles.lanes as usize, plan.tiles.span as usize);
    let rows = share(&plan.product_columns).div_ceil(lanes / tiles);
    let sums = |side: Side| plan.merge(side).slices as usize / lanes + 1;
    let along = share(&plan.product_rows).div_ceil(lanes);
    let merge = |side: Side| {
        let partials = plan.product(side).slices as usize;
        let words = share(&plan.merge(side)).div_ceil(lanes);
        levels(words, partials.div_ceil(4) + partials.div_ceil(32) + 1)
    };
    let flat = share(&plan.flat).div_ceil(lanes);
    let vectors = (plan.rows + plan.columns) as usize / (lanes * plan.flat.slices as usize);
    let all_sums = sums(Side::Rows) + sums(Side::Columns);
    [
        ("product_columns", levels(rows, span + 2) + sums(Side::Rows)),
        ("product_rows", levels(along, QUAD) + sums(Side::Columns)),
        ("merge of columns", merge(Side::Columns)),
        ("merge of rows", merge(Side::Rows)),
        ("divide", flat / 4 + vectors + all_sums + 2),
        ("dot", levels(flat / 2, 0)),
    ]
}

/// The same of the gradient, whichever way it walks.
fn gradient_iterations(plan: &MatrixPlan) -> usize {
    let lanes = plan.workgroup as usize;
    let (tiles, span) = (plan.tiles.lanes as usize, plan.tiles.span as usize);
    let steps = match plan.better {
        Side::Rows => (share(&plan.product_rows).div_ceil(lanes) + 1) * (1 + 2 * QUAD),
        Side::Columns => {
            let rows = share(&plan.product_columns).div_ceil(lanes / tiles);
            (rows + 1) * (1 + 2 * span)
        }
    };
    steps + plan.flat.slices as usize / lanes + span
}

fn check_launch(launch: &Launch, parts: u32) {
    assert_eq!(launch.groups, parts * launch.slices);
    let [width, height] = launch.grid;
    assert!(width <= LIMITS.max_groups && height <= LIMITS.max_groups);
    assert!(u64::from(width) * u64::from(height) >= launch.groups.into());
    assert!(
        launch.slices <= launch.total.div_ceil(launch.unit),
        "an empty slice"
    );
}

fn check_runs(runs: &Runs, limits: &Limits) {
    let all: [Run; 6] = [
        runs.sigma,
        runs.row_vector,
        runs.column_vector,
        runs.row_sums,
        runs.column_sums,
        runs.partials,
    ];
    let mut end = 0;
    for [first, len] in all {
        assert!(first >= end && first % 64 == 0, "{runs:?}");
        assert!(len > 0 && 4 * len <= limits.max_binding_bytes, "{runs:?}");
        end = first + len;
    }
    assert!(end <= runs.len);
}

#[test]
fn no_lane_runs_too_long_and_nothing_overlaps() {
    for view in views() {
        for class in [DeviceClass::Gpu, DeviceClass::Cpu] {
            let plan = MatrixPlan::new(view, Some(class), &LIMITS).expect("it fits a binding");
            assert_eq!(
                u64::from(plan.rows) * u64::from(plan.columns),
                view.numel() as u64
            );
            let columns = plan.columns / plan.word.width() as u32;
            assert!(plan.tiles.count * plan.tiles.lanes * plan.tiles.span >= columns);
            assert!(plan.tiles.span == 1 || plan.tiles.lanes == plan.workgroup);
            check_launch(&plan.product_columns, plan.tiles.count);
            check_launch(&plan.product_rows, plan.rows.div_ceil(QUAD as u32));
            check_launch(&plan.merge_columns, 1);
            check_launch(&plan.merge_rows, 1);
            check_launch(&plan.flat, 1);
            check_runs(&plan.runs, &LIMITS);
            for (kernel, iterations) in iterations(&plan) {
                assert!(
                    iterations < MAX_ITERATIONS,
                    "{kernel}: {iterations}, {view:?}"
                );
            }
            assert!(
                gradient_iterations(&plan) < MAX_ITERATIONS,
                "gradient, {view:?}"
            );
        }
    }
}

#[test]
fn partial_products_are_few() {
    for view in [view(1, 512, 4608), view(1, 4096, 1024), view(512, 512, 9)] {
        for class in [DeviceClass::Gpu, DeviceClass::Cpu] {
            let plan = MatrixPlan::new(view, Some(class), &LIMITS).expect("it fits a binding");
            let [_, partials] = plan.runs.partials;
            assert!(
                partials as usize * 16 <= view.numel(),
                "{class:?}, {view:?}"
            );
        }
    }
}

#[test]
fn slots_side_by_side_become_rows_of_memory() {
    let of = |view| {
        let plan = MatrixPlan::new(view, None, &LIMITS).expect("it fits a binding");
        (plan.slots, plan.rows, plan.columns, plan.inner)
    };
    assert_eq!(of(view(1, 512, 4608)), (Side::Rows, 512, 4608, 4608));
    assert_eq!(of(view(4608, 512, 1)), (Side::Columns, 4608, 512, 512));
    assert_eq!(of(view(6, 7, 5)), (Side::Rows, 7, 30, 5));
    assert_eq!(of(view(6, 1, 5)), (Side::Rows, 1, 30, 30));
}

#[test]
fn what_does_not_fit_one_binding_is_refused() {
    let elements = (LIMITS.max_binding_bytes / 4) as usize;
    assert!(MatrixPlan::new(view(1, 1, elements), None, &LIMITS).is_ok());
    let refused = MatrixPlan::new(view(1, 1, elements + 1), None, &LIMITS);
    let Err(Error::TooLarge { needed, limit, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((needed, limit), ((128 << 20) + 4, 128 << 20));
}
