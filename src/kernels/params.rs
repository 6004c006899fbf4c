//! The uniform blocks of the two strategies; the WGSL halves are `Params` in shaders/lib/rows.wgsl
//! and shaders/lib/columns.wgsl. The contract test compares names, order, types and offsets.

use super::Flags;
use crate::plan::{Columns, Plan, Rows};

/// What an operation tells its kernels beside the geometry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    pub(crate) flags: Flags,
    pub(crate) eps: f32,
    pub(crate) old_weight: f32,
    pub(crate) new_weight: f32,
    pub(crate) running_divisor: f32,
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
        outer: u32,
        inner: u32,
        slices: u32,
        slice_rows: u32,
        segments: u32,
        segment_words: u32,
        lane_bits: u32,
        flags: u32,
        n: f32,
        eps: f32,
        old_weight: f32,
        new_weight: f32,
        running_divisor: f32,
    }
}

params! {
    /// `Params` of shaders/lib/columns.wgsl.
    ColumnsParams {
        grid_width: u32,
        groups: u32,
        count: u32,
        rows: u32,
        row_words: u32,
        tile_words: u32,
        row_lanes: u32,
        blocks: u32,
        slice_rows: u32,
        partials: u32,
        flags: u32,
        n: f32,
        eps: f32,
        old_weight: f32,
        new_weight: f32,
        running_divisor: f32,
    }
}

impl RowsParams {
    pub(super) fn new(plan: &Plan, rows: &Rows, numbers: &Numbers) -> Self {
        Self {
            grid_width: plan.grid[0],
            groups: plan.groups,
            count: plan.count,
            outer: rows.outer,
            inner: rows.inner,
            slices: rows.slices,
            slice_rows: rows.slice_rows,
            segments: rows.segments,
            segment_words: rows.segment_words,
            lane_bits: rows.lane_bits,
            flags: numbers.flags.0,
            n: plan.slot_len as f32,
            eps: numbers.eps,
            old_weight: numbers.old_weight,
            new_weight: numbers.new_weight,
            running_divisor: numbers.running_divisor,
        }
    }
}

impl ColumnsParams {
    pub(super) fn new(plan: &Plan, columns: &Columns, numbers: &Numbers) -> Self {
        Self {
            grid_width: plan.grid[0],
            groups: plan.groups,
            count: plan.count,
            rows: columns.rows,
            row_words: columns.row_words,
            tile_words: columns.tile_words,
            row_lanes: columns.row_lanes,
            blocks: columns.blocks,
            slice_rows: columns.slice_rows,
            partials: columns.partials,
            flags: numbers.flags.0,
            n: plan.slot_len as f32,
            eps: numbers.eps,
            old_weight: numbers.old_weight,
            new_weight: numbers.new_weight,
            running_divisor: numbers.running_divisor,
        }
    }
}
