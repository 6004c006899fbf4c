//! The planner against the index maps of the WGSL, written a second time here and fed with the
//! uniform blocks that the kernels get. `rows` and `columns` know shaders/lib and the loops of
//! shaders/*.wgsl by heart; whoever changes one of these changes its twin there.

mod choices;
mod columns;
mod fuzz;
mod halves;
mod invariants;
mod kinds;
mod largest;
mod ledger;
mod policy;
mod replay;
mod rows;
mod shaders;
mod slots;
mod small;
mod windows;

/// The uniform blocks once more, since those of `kernels` are theirs alone.
#[allow(
    clippy::duplicate_mod,
    dead_code,
    reason = "the planner's tests read what the kernels are told"
)]
#[path = "../kernels/params.rs"]
mod params;

use super::{Cut, Form, Gains, Geometry, Pass, Plan, PlanOptions, Reduction, Rows, Strategy};
use crate::gpu::{DType, DeviceClass, Limits};
use crate::kernels::Flags;
use crate::{Error, View};

use DeviceClass::{Cpu, Gpu};

/// lavapipe silently ends an invocation after so many loop iterations.
const MAX_ITERATIONS: u64 = 65_535;
const PASSES: [Pass; 6] = [
    Pass::Flat,
    Pass::Forward,
    Pass::CumulativeForward,
    Pass::CumulativeGated,
    Pass::Gated,
    Pass::Backward,
];

const fn limits(class: DeviceClass) -> Limits {
    Limits {
        class,
        int64: matches!(class, Cpu),
        subgroups: None,
        max_groups: 65_535,
        max_binding_bytes: 1 << 27,
        max_buffer_bytes: 1 << 50,
        offset_alignment: 256,
    }
}

const fn view(outer: usize, count: usize, inner: usize) -> View {
    View {
        batch: 1,
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

/// What a batch norm reduces.
fn slots(view: View) -> Reduction {
    Reduction::of_slots(view)
}

/// The same of 16-bit elements.
fn halves(reduction: Reduction) -> Reduction {
    Reduction {
        dtype: DType::F16,
        ..reduction
    }
}

/// What a group norm reduces, whose groups have `fan` channels each.
fn groups(batch: usize, view: View, fan: usize) -> Reduction {
    Reduction {
        fan,
        gains: Gains::Period(view.count),
        ..slots(View { batch, ..view })
    }
}

/// What a layer norm reduces: the rows, and for the gradients of its gains across them.
fn rows_of(rows: usize, inner: usize) -> [Reduction; 2] {
    let along = Reduction {
        gains: Gains::Elements,
        ..slots(view(1, rows, inner))
    };
    let across = Reduction {
        gains: Gains::Across,
        ..slots(view(rows, inner, 1))
    };
    [along, across]
}

/// Whether the operations refuse it: they sum up the gradients of single elements' gains across the
/// rows, and see whole rows there.
fn is_too_wide(reduction: Reduction, limits: &Limits) -> bool {
    let View {
        count: rows, inner, ..
    } = reduction.view;
    let across = match reduction.gains {
        Gains::Elements => Reduction {
            dtype: reduction.dtype,
            ..rows_of(rows, inner)[1]
        },
        Gains::Across => reduction,
        _ => return false,
    };
    let columns = forced(Some(Strategy::SplitColumns));
    !matches!(Plan::refusal(across, columns, limits), Ok(None))
}

/// The strategies that the reduction allows, and the planner's own choice.
fn strategies(reduction: Reduction) -> Vec<Option<Strategy>> {
    if reduction.gains == Gains::Across {
        return vec![Some(Strategy::SplitColumns)];
    }
    let mut strategies = vec![None, Some(Strategy::SplitRows), Some(Strategy::Resident)];
    let folded = reduction.folded();
    let entry = folded.view.slot_len() * folded.view.count;
    if folded.is_columns() && (entry.is_multiple_of(2) || reduction.dtype == DType::F32) {
        strategies.push(Some(Strategy::SplitColumns));
    }
    strategies
}

/// The passes that the operations plan for it: only slots of a batch norm are those of running
/// statistics too.
fn passes(reduction: Reduction) -> &'static [Pass] {
    match reduction.gains {
        Gains::Slots => &PASSES,
        Gains::Period(_) => &PASSES[1..],
        Gains::Elements => &[Pass::Forward, Pass::Gated, Pass::Backward],
        Gains::Across => &[Pass::Backward],
    }
}

/// The numbers of an operation, which the planner has nothing to do with.
const NUMBERS: params::Numbers = params::Numbers {
    flags: Flags(0),
    eps: 0.0,
    old_weight: 0.0,
    new_weight: 0.0,
    running_divisor: 0.0,
    saved: 0,
    n: 0.0,
    r_max: 1.0,
    d_max: 0.0,
    gates: 0,
    mask: 0,
};

/// A field of a uniform block by its name in the shaders.
fn field(fields: &[(&str, &str, usize)], block: &[u8], name: &str) -> u32 {
    let of_name = fields.iter().find(|field| field.0 == name);
    let offset = of_name.expect("a field of that name").2;
    bytemuck::pod_read_unaligned(&block[offset..offset + 4])
}

/// `sample_at` of shaders/lib/moments.wgsl: only its hash may wrap.
fn sample_at(i: u32, n: u32) -> u32 {
    let scattered = (i + 1).wrapping_mul(2_654_435_761) >> 23;
    let product = |a: u32, b: u32| a.checked_mul(b).expect("a product that does not wrap");
    (product(i, n) + (product(scattered, n) >> 9)) / 10
}
