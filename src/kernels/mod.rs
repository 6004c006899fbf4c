//! The host halves of the kernels: each file here is the twin of shaders/`<stem>`_rows.wgsl and
//! shaders/`<stem>`_columns.wgsl. A kernel does not know which norm it serves.

mod flags;
mod io;
mod params;

pub(crate) mod backward_dx;
pub(crate) mod backward_sums;
pub(crate) mod moments;
pub(crate) mod normalize;

#[cfg(test)]
mod contract;

pub(crate) use flags::Flags;
use io::{Io, Output};
pub(crate) use params::Numbers;
use params::{ColumnsParams, RowsParams};

use crate::Result;
use crate::gpu::{Binding, Dispatch, PipelineKey, Prepared, Program, Recorder, Tensor};
use crate::plan::{Geometry, Plan, Word};

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
    pub(super) const DGAMMA: u32 = 6;
    pub(super) const DBETA: u32 = 7;
}

/// A kernel before its element type and activation bindings are linked in.
struct Kernel {
    /// The stem of the shader and its entry point.
    name: &'static str,
    body: &'static str,
    /// The lib snippets besides element and io.
    lib: &'static [&'static str],
    reads_dy: bool,
    output: Output,
    /// The storage buffers besides x, dy and the output, all `read_write`: they are small, and so
    /// may lie in one buffer with a tensor that is written.
    bindings: &'static [(u32, &'static str)],
}

/// The two strategies' kernels for one step of an operation.
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
    /// Links everything for these words, activation bindings and workgroup size.
    fn program(&self, io: Io, workgroup: u32) -> Program {
        let mut sources = io.sources(self.reads_dy, self.output);
        sources.extend(self.lib);
        sources.push(self.body);
        let mut bindings = io.bindings(self.reads_dy, self.output);
        bindings.extend(self.bindings.iter().map(|&(number, name)| Binding {
            number,
            name,
            access: crate::gpu::Access::ReadWrite,
        }));
        let mut constants = vec![("WORKGROUP", f64::from(workgroup))];
        if self.name.ends_with("_columns") {
            constants.push(("TILE", f64::from(workgroup * io.word.width())));
        }
        Program {
            name: self.name,
            sources,
            bindings,
            constants,
        }
    }
}

impl Kernels {
    /// Prepares the dispatch of this step. `x` and `dy` are left out of `tensors` where the io
    /// snippets do not bind them.
    fn prepare(
        &self,
        recorder: &Recorder<'_>,
        plan: &Plan,
        numbers: &Numbers,
        io: Io,
        tensors: &[(u32, &Tensor)],
    ) -> Result<Prepared> {
        let (kernel, rows, columns);
        let parameters: &[u8] = match &plan.geometry {
            Geometry::Rows(geometry) => {
                kernel = &self.rows;
                rows = RowsParams::new(plan, geometry, numbers);
                bytemuck::bytes_of(&rows)
            }
            Geometry::Columns(geometry) => {
                kernel = &self.columns;
                columns = ColumnsParams::new(plan, geometry, numbers);
                bytemuck::bytes_of(&columns)
            }
        };
        recorder.prepare(Dispatch {
            key: PipelineKey {
                kernel: kernel.name,
                variant: io.variant(),
                workgroup: plan.workgroup,
            },
            program: || kernel.program(io, plan.workgroup),
            parameters,
            tensors,
            grid: plan.grid,
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
