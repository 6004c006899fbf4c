//! Dispatches that fold what every sample has left in the state; the WGSL half is
//! shaders/lib/fold.wgsl. They see no activation and one buffer of partials, whatever its geometry.

use super::params::FoldParams;
use super::{Flags, Numbers};
use crate::Result;
use crate::gpu::{Access, Binding, Dispatch, PipelineKey, Prepared, Program, Recorder, Tensor};
use crate::plan::{Plan, Reduce};

/// A kernel with one workgroup per channel.
pub(super) struct Fold {
    pub(super) name: &'static str,
    pub(super) body: &'static str,
    pub(super) lib: &'static [&'static str],
    pub(super) flags: Flags,
    pub(super) bindings: &'static [(u32, &'static str)],
}

impl Fold {
    pub(super) fn program(&self, reduce: Reduce, workgroup: u32, flags: Flags) -> Program {
        let mut sources = reduce.sources().to_vec();
        sources.extend(self.lib);
        sources.push(self.body);
        let bindings = self.bindings.iter().map(|&(number, name)| Binding {
            number,
            name,
            access: Access::ReadWrite,
        });
        Program {
            name: self.name,
            sources,
            bindings: bindings.collect(),
            constants: vec![
                ("WORKGROUP", f64::from(workgroup)),
                ("FLAGS", f64::from(flags.0)),
            ],
        }
    }

    /// Prepares the dispatch for so many channels.
    pub(super) fn prepare(
        &self,
        recorder: &Recorder<'_>,
        plan: &Plan,
        numbers: &Numbers,
        groups: u32,
        tensors: &[(u32, &Tensor)],
    ) -> Result<Prepared> {
        let flags = numbers.flags.only(self.flags);
        let grid = plan.grid(groups)?;
        let parameters = FoldParams::new(plan, groups, grid, numbers);
        recorder.prepare(Dispatch {
            key: PipelineKey {
                kernel: self.name,
                variant: plan.reduce as u32,
                flags: flags.0,
                workgroup: plan.workgroup,
            },
            program: || self.program(plan.reduce, plan.workgroup, flags),
            parameters: bytemuck::bytes_of(&parameters),
            tensors,
            activations: &[],
            window: [0, 0],
            grid,
        })
    }
}
