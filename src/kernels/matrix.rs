//! What the kernels `matrix_*` have in common: how they are linked, their uniform block, whose WGSL
//! half is shaders/lib/matrix.wgsl, and the buffer that they share.

use super::io::{Io, Output, Place, Tail, span};
use super::{Form, Word};
use crate::Result;
use crate::gpu::{Access, Binding, Dispatch, PipelineKey, Prepared, Program, Recorder, Tensor};
use crate::plan::matrix::{Launch, MatrixPlan, Side};

/// Binding numbers besides those of x, dy and the output; a kernel's first vector, its second one or
/// its partial results, and so on.
pub(super) mod binding {
    pub(in crate::kernels) const X: u32 = super::super::binding::X;
    pub(in crate::kernels) const DY: u32 = super::super::binding::DY;
    pub(in crate::kernels) const OUTPUT: u32 = super::super::binding::OUTPUT;
    pub(in crate::kernels) const VECTOR: u32 = 4;
    pub(in crate::kernels) const COLUMN_VECTOR: u32 = 5;
    pub(in crate::kernels) const PARTIALS: u32 = 5;
    pub(in crate::kernels) const SUMS: u32 = 6;
    pub(in crate::kernels) const DOTS: u32 = 6;
    pub(in crate::kernels) const SIGMA: u32 = 7;
    pub(in crate::kernels) const FIXED: u32 = 7;
    pub(in crate::kernels) const ROW_STATE: u32 = 8;
    pub(in crate::kernels) const COLUMN_STATE: u32 = 9;
}

/// A kernel before its words and the bindings of x, dy and the output are linked in.
pub(super) struct MatrixKernel {
    /// The stem of the shader and its entry point.
    pub(super) name: &'static str,
    pub(super) body: &'static str,
    /// The lib snippets besides words, bindings, sums and spans.
    pub(super) lib: &'static [&'static str],
    /// The binding numbers of x and dy, as far as it reads them.
    pub(super) reads: &'static [u32],
    pub(super) output: Output,
    /// Whether lanes own several words side by side.
    pub(super) spans: bool,
    /// Whether it asks if vectors stay as they are.
    pub(super) asks_fixed: bool,
    /// The other storage buffers, all `read_write`: they are small, and so may lie in one buffer with
    /// each other or with a tensor that is written.
    pub(super) bindings: &'static [(u32, &'static str)],
}

params! {
    /// `Params` of shaders/lib/matrix.wgsl.
    MatrixParams {
        grid_width: u32,
        groups: u32,
        rows: u32,
        row_words: u32,
        columns: u32,
        column_elements: u32,
        block_words: u32,
        total: u32,
        unit: u32,
        slices: u32,
        slice_units: u32,
        more_units: u32,
        tile_lanes: u32,
        tiles: u32,
        step_words: u32,
        step_blocks: u32,
        partials: u32,
        row_sums: u32,
        column_sums: u32,
        column_sums_at: u32,
        columns_last: u32,
        eps: f32,
    }
}

/// What a dispatch tells its kernel beside the plan.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MatrixNumbers {
    pub(super) partials: u32,
    pub(super) columns_last: bool,
    pub(super) eps: f32,
}

impl MatrixParams {
    pub(super) fn new(
        plan: &MatrixPlan,
        launch: &Launch,
        word: Word,
        numbers: MatrixNumbers,
    ) -> Self {
        let width = word.width() as u32;
        let units = launch.total.div_ceil(launch.unit);
        // A kernel that sees the matrix as one run of words has nothing to do with its rows.
        let row_words = (plan.inner / width).max(1);
        let block_words = plan.rows.wrapping_mul(row_words);
        Self {
            grid_width: launch.grid[0],
            groups: launch.groups,
            rows: plan.rows,
            row_words,
            columns: plan.columns / width,
            column_elements: plan.columns,
            block_words,
            total: launch.total,
            unit: launch.unit,
            slices: launch.slices,
            slice_units: units / launch.slices,
            more_units: units % launch.slices,
            tile_lanes: plan.tiles.lanes,
            tiles: plan.tiles.count,
            step_words: plan.workgroup % row_words,
            // It may wrap around, but then no second run of a row is ever reached.
            step_blocks: (plan.workgroup / row_words).wrapping_mul(block_words),
            partials: numbers.partials,
            row_sums: plan.merge_rows.slices,
            column_sums: plan.merge_columns.slices,
            column_sums_at: plan.runs.column_sums_at(),
            columns_last: u32::from(numbers.columns_last),
            eps: numbers.eps,
        }
    }
}

impl MatrixKernel {
    pub(super) fn reads(&self, number: u32) -> bool {
        self.reads.contains(&number)
    }

    /// Links everything for these words, bindings and workgroup size.
    pub(super) fn program(&self, io: Io, workgroup: u32, fixed: bool) -> Program {
        let mut sources = io.activations(self.reads(binding::DY), self.output);
        let mut bindings = io.bindings(self.reads(binding::DY), self.output);
        if !self.reads(binding::X) {
            // The snippet of x follows that of the words.
            sources.remove(1);
            bindings.retain(|binding| binding.number != binding::X);
        }
        sources.extend(io.reduce.sources());
        if let (true, Form::Span(words)) = (self.spans, io.form) {
            sources.push(span(words));
        }
        sources.extend(self.lib);
        sources.push(self.body);
        bindings.extend(self.bindings.iter().map(|&(number, name)| Binding {
            number,
            name,
            access: Access::ReadWrite,
        }));
        let mut constants = vec![("WORKGROUP", f64::from(workgroup))];
        if self.asks_fixed {
            constants.push(("FIXED", f64::from(u8::from(fixed))));
        }
        Program {
            name: self.name,
            sources,
            bindings,
            constants,
        }
    }

    /// Prepares the dispatch of this kernel.
    pub(super) fn prepare(
        &self,
        recorder: &Recorder<'_>,
        plan: &MatrixPlan,
        launch: &Launch,
        call: &Call<'_>,
    ) -> Result<Prepared> {
        let io = Io {
            element_gains: false,
            keeps_ends: false,
            word: call.word,
            form: Form::Span(if self.spans { plan.tiles.span } else { 1 }),
            reduce: plan.reduce,
            in_turns: false,
            x: call.place(binding::X),
            dy: call.place(binding::DY),
            tail: Tail::Plain,
        };
        let params = MatrixParams::new(plan, launch, call.word, call.numbers);
        recorder.prepare(Dispatch {
            key: PipelineKey {
                kernel: self.name,
                variant: io.variant(),
                flags: u32::from(call.fixed),
                workgroup: plan.workgroup,
            },
            program: || {
                debug_assert!(self.links(io, plan.workgroup), "{}: {io:?}", self.name);
                self.program(io, plan.workgroup, call.fixed)
            },
            parameters: bytemuck::bytes_of(&params),
            tensors: &call.bound(),
            activations: &[],
            window: [0, 0],
            grid: launch.grid,
        })
    }
}

/// One dispatch: its words, numbers and tensors by binding number.
pub(super) struct Call<'a> {
    pub(super) word: Word,
    pub(super) fixed: bool,
    pub(super) numbers: MatrixNumbers,
    /// x, dy and the output.
    pub(super) activations: &'a [(u32, &'a Tensor)],
    pub(super) others: &'a [(u32, &'a Tensor)],
}

impl<'a> Call<'a> {
    fn activation(&self, number: u32) -> Option<&'a Tensor> {
        let found = self.activations.iter().find(|(n, _)| *n == number);
        found.map(|&(_, tensor)| tensor)
    }

    /// Where the kernel finds x or dy.
    fn place(&self, number: u32) -> Place {
        self.activation(number).map_or(Place::Absent, |tensor| {
            Place::of(tensor, self.activation(binding::OUTPUT), self.others)
        })
    }

    /// What has a binding: an input in the place of the output does without one.
    fn bound(&self) -> Vec<(u32, &'a Tensor)> {
        let activations = self
            .activations
            .iter()
            .copied()
            .filter(|&(number, _)| number == binding::OUTPUT || self.place(number).is_bound());
        activations.chain(self.others.iter().copied()).collect()
    }
}

/// The buffer that the dispatches of a step share, run by run.
#[derive(Clone, Debug)]
pub(crate) struct MatrixState {
    /// What the matrix was divided by, `[1]`.
    pub(crate) sigma: Tensor,
    pub(crate) row_vector: Tensor,
    pub(crate) column_vector: Tensor,
    pub(super) row_sums: Tensor,
    pub(super) column_sums: Tensor,
    pub(super) sums: Tensor,
    pub(super) partials: Tensor,
}

impl MatrixState {
    /// The runs of a tensor of as many f32 as the plan says.
    pub(crate) fn new(plan: &MatrixPlan, buffer: &Tensor) -> Self {
        let runs = &plan.runs;
        Self {
            sigma: buffer.window(runs.sigma),
            row_vector: buffer.window(runs.row_vector),
            column_vector: buffer.window(runs.column_vector),
            row_sums: buffer.window(runs.row_sums),
            column_sums: buffer.window(runs.column_sums),
            sums: buffer.window(runs.sums()),
            partials: buffer.window(runs.partials),
        }
    }

    pub(crate) fn vector(&self, side: Side) -> &Tensor {
        match side {
            Side::Rows => &self.row_vector,
            Side::Columns => &self.column_vector,
        }
    }

    pub(super) fn sums(&self, side: Side) -> &Tensor {
        match side {
            Side::Rows => &self.row_sums,
            Side::Columns => &self.column_sums,
        }
    }
}

impl MatrixPlan {
    /// What a vector consists of where it is merged: the row vector is never read in wide words.
    pub(super) fn word_of(&self, side: Side) -> Word {
        match side {
            Side::Rows => Word::F32,
            Side::Columns => self.word,
        }
    }
}
