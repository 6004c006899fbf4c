//! The host halves of the kernels: each file here is the twin of shaders/`<stem>`_rows.wgsl and
//! shaders/`<stem>`_columns.wgsl. A kernel does not know which norm it serves.

mod flags;
mod fold;
mod io;
#[macro_use]
mod params;

pub(crate) mod backward_dx;
pub(crate) mod backward_resident;
pub(crate) mod backward_sums;
mod catalogue;
mod channels;
pub(crate) mod finish_moments;
pub(crate) mod finish_sums;
pub(crate) mod fold_statistics;
pub(crate) mod fold_sums;
pub(crate) mod forward_resident;
pub(crate) mod gain_sums;
pub(crate) mod mask_bits;
pub(crate) mod matrix;
pub(crate) mod matrix_divide;
pub(crate) mod matrix_dot;
pub(crate) mod matrix_merge;
pub(crate) mod matrix_product;
pub(crate) mod matrix_rank_one;
pub(crate) mod merge_moments;
pub(crate) mod merge_sums;
pub(crate) mod moments;
pub(crate) mod normalize;
mod shader;

#[cfg(test)]
mod contract;

pub(crate) use channels::{Finish, Merge, saved_vectors};
pub(crate) use flags::Flags;
use io::{Io, Linked, Output, Place, Tail};
pub(crate) use params::Numbers;
use params::{ColumnsParams, RowsParams};
pub use shader::{Shader, all};

use crate::Result;
use crate::gpu::{Binding, Dispatch, PipelineKey, Prepared, Program, Recorder, Tensor};
use crate::plan::{Cut, Form, Gains, Geometry, Half, Plan, Reduce, Walk, Word};

/// Binding numbers, the same in every kernel that has the binding.
mod binding {
    pub(super) const X: u32 = 1;
    pub(super) const DY: u32 = 2;
    pub(super) const OUTPUT: u32 = 3;
    pub(super) const STATE: u32 = 4;
    pub(super) const GAMMA: u32 = 5;
    pub(super) const BETA: u32 = 6;
    pub(super) const RUNNING_MEAN: u32 = 7;
    pub(super) const RUNNING_VAR: u32 = 8;
    pub(super) const TRACKED: u32 = 9;
    pub(super) const DGAMMA: u32 = 7;
    pub(super) const DBETA: u32 = 8;
    /// The residual, or its gradient.
    pub(super) const RESIDUAL: u32 = 10;
}

/// A kernel before its element type and activation bindings are linked in.
struct Kernel {
    /// The stem of the shader and its entry point.
    name: &'static str,
    body: &'static str,
    walks: &'static [Walk],
    /// The lib snippets besides element and io.
    lib: &'static [&'static str],
    /// The switches that it looks at.
    flags: Flags,
    reads_dy: bool,
    output: Output,
    gains: Linked,
    /// The storage buffers besides x, dy and the output, all `read_write`: they are small, and so
    /// may lie in one buffer with a tensor that is written.
    bindings: &'static [(u32, &'static str)],
}

/// The kernels of the two geometries for one step of an operation.
struct Kernels {
    rows: Kernel,
    columns: Kernel,
}

macro_rules! lib {
    ($($stem:literal),* $(,)?) => {
        &[$(include_str!(concat!("../../shaders/lib/", $stem, ".wgsl"))),*]
    };
}
use lib;

macro_rules! body {
    ($stem:literal) => {
        include_str!(concat!("../../shaders/", $stem, ".wgsl"))
    };
}
use body;

impl Kernel {
    /// Whether it writes y and counts the batch, for which a residual leaves no binding.
    fn counts(&self) -> bool {
        self.output == Output::Y && self.flags.has(Flags::HAS_TRACKED)
    }

    /// What chooses elements of words, by bits.
    fn choosing(&self, io: Io) -> Vec<&'static str> {
        let masked = self.flags.has(Flags::MASKED);
        let gated = self.reads_dy && io.tail != Tail::Recomputed;
        let mut sources = Vec::new();
        if masked || gated {
            sources.extend(lib!("word_where"));
        }
        if masked {
            sources.extend(lib!("mask"));
            sources.extend(io.form.mask());
        }
        sources
    }

    /// Links everything for these words, activation bindings and workgroup size.
    fn program(&self, io: Io, workgroup: u32, flags: Flags) -> Program {
        let mut sources = io.sources(self.reads_dy, self.output);
        sources.extend(self.gains.sources(io));
        sources.extend(self.choosing(io));
        sources.extend(self.lib);
        let counts_here = self.counts() && !matches!(io.tail, Tail::Residual(_));
        if self.counts() {
            let snippet: &[&str] = if counts_here {
                lib!("tracked")
            } else {
                lib!("tracked_elsewhere")
            };
            sources.extend(snippet);
        }
        sources.push(self.body);
        let mut bindings = io.bindings(self.reads_dy, self.output);
        bindings.extend(self.gains.bindings(io));
        bindings.extend(self.bindings.iter().map(|&(number, name)| Binding {
            number,
            name,
            access: crate::gpu::Access::ReadWrite,
        }));
        bindings.extend(counts_here.then_some(Binding {
            number: binding::TRACKED,
            name: "tracked",
            access: crate::gpu::Access::ReadWrite,
        }));
        let mut constants = vec![("WORKGROUP", f64::from(workgroup))];
        if self.flags != Flags::default() {
            constants.push(("FLAGS", f64::from(flags.0)));
        }
        let span = match io.form {
            Form::Span(words) => words,
            Form::HeldColumns(_) => 1,
            _ => 0,
        };
        if span > 0 {
            let tile = workgroup * span * io.word.width() as u32;
            constants.push(("TILE", f64::from(tile)));
        }
        Program {
            name: self.name,
            sources,
            bindings,
            constants,
        }
    }
}

/// Where the activations of a dispatch are.
#[derive(Clone, Copy, Debug)]
struct Places {
    x: Place,
    dy: Place,
    tail: Tail,
}

/// What a dispatch binds.
#[derive(Clone, Copy)]
struct Tensors<'a> {
    /// x, dy and the output, of which a dispatch sees one window; those that have a binding.
    activations: &'a [(u32, &'a Tensor)],
    /// The others, which it sees whole.
    others: &'a [(u32, &'a Tensor)],
}

impl Kernels {
    /// Prepares the dispatches of this step, one for each window of the activations.
    fn prepare(
        &self,
        recorder: &Recorder<'_>,
        plan: &Plan,
        numbers: &Numbers,
        places: Places,
        tensors: Tensors<'_>,
    ) -> Result<Vec<Prepared>> {
        let is_columns = |cut: &Cut| matches!(cut.geometry, Geometry::Columns(_));
        let kernel = if plan.cuts.iter().any(is_columns) {
            &self.columns
        } else {
            &self.rows
        };
        kernel.prepare(recorder, plan, numbers, places, tensors)
    }
}

impl Kernel {
    /// Prepares a dispatch for each window of the activations.
    fn prepare(
        &self,
        recorder: &Recorder<'_>,
        plan: &Plan,
        numbers: &Numbers,
        places: Places,
        tensors: Tensors<'_>,
    ) -> Result<Vec<Prepared>> {
        let Places { x, dy, tail } = places;
        let io = Io {
            word: plan.word,
            form: plan.form,
            keeps_ends: plan.keeps_ends,
            reduce: plan.walk_reduce(),
            in_turns: plan.in_turns(),
            element_gains: plan.gains == Gains::Elements,
            x,
            dy,
            tail,
        };
        let prepare = |(i, cut): (usize, &Cut)| {
            let mut flags = numbers.flags
                | Flags::ONE_PARTIAL.when(plan.partials * plan.fan == 1)
                | Flags::GROUPED.when(matches!(plan.gains, Gains::Period(_)))
                | Flags::ONE_ROW.when(cut.geometry.is_one_row())
                | Flags::FULL.when(cut.geometry.is_full(plan.form, plan.workgroup));
            if i > 0 {
                // Only one of the windows counts the batch.
                flags = flags.without(Flags::HAS_TRACKED);
            }
            self.prepare_cut(
                recorder,
                plan,
                cut,
                &Numbers { flags, ..*numbers },
                io,
                tensors,
            )
        };
        plan.cuts.iter().enumerate().map(prepare).collect()
    }

    fn prepare_cut(
        &self,
        recorder: &Recorder<'_>,
        plan: &Plan,
        cut: &Cut,
        numbers: &Numbers,
        io: Io,
        tensors: Tensors<'_>,
    ) -> Result<Prepared> {
        let (rows, columns);
        let parameters: &[u8] = match &cut.geometry {
            Geometry::Rows(geometry) => {
                rows = RowsParams::new(plan, cut, geometry, numbers);
                bytemuck::bytes_of(&rows)
            }
            Geometry::Columns(geometry) => {
                columns = ColumnsParams::new(plan, cut, geometry, numbers);
                bytemuck::bytes_of(&columns)
            }
        };
        let flags = numbers.flags.only(self.flags);
        recorder.prepare(Dispatch {
            key: PipelineKey {
                kernel: self.name,
                variant: io.variant(),
                flags: flags.0,
                workgroup: plan.workgroup,
            },
            program: || {
                debug_assert!(self.links(io, plan.workgroup), "{}: {io:?}", self.name);
                self.program(io, plan.workgroup, flags)
            },
            parameters,
            tensors: tensors.others,
            activations: tensors.activations,
            window: [cut.first, cut.len],
            grid: cut.grid,
        })
    }
}

/// The tensors that are there, with their binding numbers.
fn present<'a>(tensors: &[(u32, Option<&'a Tensor>)]) -> Vec<(u32, &'a Tensor)> {
    tensors
        .iter()
        .filter_map(|&(number, tensor)| Some((number, tensor?)))
        .collect()
}
