//! Dispatches that see no activation: those that fold what every sample has left in the state, whatever
//! its geometry, whose WGSL half is shaders/lib/fold.wgsl, and those of channels.rs.

use super::params::FoldParams;
use super::{Flags, Numbers};
use crate::Result;
use crate::gpu::{Access, Binding, Dispatch, PipelineKey, Prepared, Program, Recorder, Tensor};
use crate::plan::{Plan, Reduce};

/// A kernel that sees what every channel has.
pub(super) struct Fold {
    pub(super) name: &'static str,
    pub(super) body: &'static str,
    pub(super) lib: &'static [&'static str],
    pub(super) flags: Flags,
    pub(super) bindings: &'static [(u32, &'static str)],
}

/// How it is run.
pub(super) struct Launch<'a> {
    pub(super) reduce: Reduce,
    pub(super) workgroup: u32,
    pub(super) grid: [u32; 2],
    pub(super) flags: Flags,
    pub(super) parameters: &'a [u8],
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
        let mut constants = vec![("WORKGROUP", f64::from(workgroup))];
        if self.flags != Flags::default() {
            constants.push(("FLAGS", f64::from(flags.0)));
        }
        Program {
            name: self.name,
            sources,
            bindings: bindings.collect(),
            constants,
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
        let grid = plan.grid(groups)?;
        let parameters = FoldParams::new(plan, groups, grid, numbers);
        let launch = Launch {
            reduce: plan.reduce,
            workgroup: plan.workgroup,
            grid,
            flags: numbers.flags,
            parameters: bytemuck::bytes_of(&parameters),
        };
        self.launch(recorder, &launch, tensors)
    }

    pub(super) fn launch(
        &self,
        recorder: &Recorder<'_>,
        launch: &Launch<'_>,
        tensors: &[(u32, &Tensor)],
    ) -> Result<Prepared> {
        let flags = launch.flags.only(self.flags);
        recorder.prepare(Dispatch {
            key: PipelineKey {
                kernel: self.name,
                variant: launch.reduce as u32,
                flags: flags.0,
                workgroup: launch.workgroup,
            },
            program: || {
                debug_assert!(
                    Self::links(launch.reduce, launch.workgroup),
                    "{}",
                    self.name
                );
                self.program(launch.reduce, launch.workgroup, flags)
            },
            parameters: launch.parameters,
            tensors,
            activations: &[],
            window: [0, 0],
            grid: launch.grid,
        })
    }
}
