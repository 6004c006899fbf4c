//! The uniform blocks; the WGSL halves are `Params` in shaders/lib/rows.wgsl, columns.wgsl and
//! fold.wgsl. The contract test compares names, order, types and offsets.

use super::Flags;
use crate::plan::{Columns, Cut, Geometry, Plan, Rows, UNIT};

/// What an operation tells its kernels beside the geometry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    pub(crate) flags: Flags,
    /// Vectors of the state before its partials.
    pub(crate) saved: u32,
    /// Elements of a statistic, by which its sums are divided.
    pub(crate) n: f32,
    pub(crate) eps: f32,
    pub(crate) old_weight: f32,
    pub(crate) new_weight: f32,
    pub(crate) running_divisor: f32,
    pub(crate) r_max: f32,
    pub(crate) d_max: f32,
    /// Words of the state before its gates.
    pub(crate) gates: u32,
    /// Words of the state before those of its mask.
    pub(crate) mask: u32,
}

macro_rules! params {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $ty:ident,)* }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
        pub(crate) struct $name {
            $($field: $ty,)*
        }

        #[cfg(test)]
        impl $name {
            /// Name, WGSL type and offset of every field.
            pub(crate) const FIELDS: &[(&str, &str, usize)] =
                &[$((stringify!($field), stringify!($ty), std::mem::offset_of!(Self, $field)),)*];
        }
    };
}

params! {
    /// `Params` of shaders/lib/rows.wgsl.
    RowsParams {
        grid_width: u32,
        groups: u32,
        count: u32,
        saved: u32,
        partials: u32,
        merged: u32,
        fan: u32,
        gains: u32,
        first_slot: u32,
        slots: u32,
        first_slice: u32,
        shift: u32,
        inner: u32,
        row_stride: u32,
        row_words: u32,
        slot_words: u32,
        slices: u32,
        slice_units: u32,
        more_units: u32,
        turns: u32,
        piece_words: u32,
        lanes: u32,
        step_words: u32,
        step_elements: u32,
        n: f32,
        eps: f32,
        old_weight: f32,
        new_weight: f32,
        running_divisor: f32,
        r_max: f32,
        d_max: f32,
        gates: u32,
        group_gates: u32,
        mask: u32,
        positions: u32,
        row_positions: u32,
    }
}

params! {
    /// `Params` of shaders/lib/columns.wgsl.
    ColumnsParams {
        grid_width: u32,
        groups: u32,
        count: u32,
        saved: u32,
        partials: u32,
        merged: u32,
        fan: u32,
        gains: u32,
        first_batch: u32,
        slices: u32,
        first_slice: u32,
        first_row: u32,
        shift: u32,
        rows: u32,
        row_words: u32,
        tile_words: u32,
        tile_lanes: u32,
        row_lanes: u32,
        blocks: u32,
        slice_rows: u32,
        more_rows: u32,
        n: f32,
        eps: f32,
        old_weight: f32,
        new_weight: f32,
        running_divisor: f32,
        r_max: f32,
        d_max: f32,
        gates: u32,
        group_gates: u32,
        mask: u32,
        positions: u32,
    }
}

impl RowsParams {
    pub(super) fn new(plan: &Plan, cut: &Cut, rows: &Rows, numbers: &Numbers) -> Self {
        let units = rows.slot_words.div_ceil(UNIT as u32);
        Self {
            grid_width: cut.grid[0],
            groups: cut.groups,
            count: plan.count,
            saved: numbers.saved,
            partials: plan.partials,
            merged: plan.partials * plan.fan,
            fan: plan.fan,
            gains: plan.gain_count(),
            first_slot: rows.first_slot,
            slots: rows.slots,
            first_slice: rows.first_slice,
            shift: rows.shift,
            inner: rows.inner,
            row_stride: rows.row_stride,
            row_words: rows.row_words,
            slot_words: rows.slot_words,
            slices: rows.slices,
            slice_units: units / rows.slices,
            more_units: units % rows.slices,
            turns: rows.turns,
            piece_words: rows.piece_words,
            lanes: rows.lanes,
            step_words: rows.lanes % rows.row_words,
            // It may wrap around, but then no second row is ever reached.
            step_elements: (rows.lanes / rows.row_words).wrapping_mul(rows.row_stride),
            n: numbers.n,
            eps: numbers.eps,
            old_weight: numbers.old_weight,
            new_weight: numbers.new_weight,
            running_divisor: numbers.running_divisor,
            r_max: numbers.r_max,
            d_max: numbers.d_max,
            gates: numbers.gates.wrapping_add(cut.gates),
            group_gates: cut
                .geometry
                .group_gates(plan.word, plan.form, plan.workgroup),
            mask: numbers.mask,
            positions: cut.positions,
            row_positions: cut.row_positions,
        }
    }
}

impl ColumnsParams {
    pub(super) fn new(plan: &Plan, cut: &Cut, columns: &Columns, numbers: &Numbers) -> Self {
        Self {
            grid_width: cut.grid[0],
            groups: cut.groups,
            count: plan.count,
            saved: numbers.saved,
            partials: plan.partials,
            merged: plan.partials * plan.fan,
            fan: plan.fan,
            gains: plan.gain_count(),
            first_batch: columns.first_batch,
            slices: columns.slices,
            first_slice: columns.first_slice,
            first_row: columns.first_row,
            shift: columns.shift,
            rows: columns.rows,
            row_words: columns.row_words,
            tile_words: columns.tile_words,
            tile_lanes: columns.tile_lanes,
            row_lanes: columns.row_lanes,
            blocks: columns.blocks,
            slice_rows: columns.rows / columns.slices,
            more_rows: columns.rows % columns.slices,
            n: numbers.n,
            eps: numbers.eps,
            old_weight: numbers.old_weight,
            new_weight: numbers.new_weight,
            running_divisor: numbers.running_divisor,
            r_max: numbers.r_max,
            d_max: numbers.d_max,
            gates: numbers.gates.wrapping_add(cut.gates),
            group_gates: cut
                .geometry
                .group_gates(plan.word, plan.form, plan.workgroup),
            mask: numbers.mask,
            positions: cut.positions,
        }
    }
}

params! {
    /// `Params` of shaders/lib/fold.wgsl.
    FoldParams {
        grid_width: u32,
        groups: u32,
        count: u32,
        batches: u32,
        saved: u32,
        partials: u32,
        slot_step: u32,
        partial_step: u32,
        eps: f32,
        old_weight: f32,
        new_weight: f32,
        correction: f32,
    }
}

impl FoldParams {
    pub(super) fn new(plan: &Plan, groups: u32, grid: [u32; 2], numbers: &Numbers) -> Self {
        let by_columns = |cut: &Cut| matches!(cut.geometry, Geometry::Columns(_));
        let slots = plan.gain_count();
        let (count, batches, partials, slot_step, partial_step) = match plan.gain_shares() {
            Some((shares, inner)) => (inner, shares, 1, 1, 1),
            None if plan.cuts.iter().any(by_columns) => {
                (slots, plan.slots / slots, plan.partials, 1, slots)
            }
            None => (slots, plan.slots / slots, plan.partials, plan.partials, 1),
        };
        Self {
            grid_width: grid[0],
            groups,
            count,
            batches,
            saved: numbers.saved,
            partials,
            slot_step,
            partial_step,
            eps: numbers.eps,
            old_weight: numbers.old_weight,
            new_weight: numbers.new_weight,
            correction: numbers.n / numbers.running_divisor,
        }
    }
}
