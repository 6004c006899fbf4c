//! Dispatches that fold what every sample has left in the state; the WGSL half is
//! shaders/lib/fold.wgsl. They see no activation and one buffer of partials, whatever its geometry.

use super::{Flags, Numbers};
use crate::Result;
use crate::gpu::{Access, Binding, Dispatch, PipelineKey, Prepared, Program, Recorder, Tensor};
use crate::plan::{Geometry, Plan, Reduce};

/// A kernel with one workgroup per channel.
pub(super) struct Fold {
    pub(super) name: &'static str,
    pub(super) body: &'static str,
    pub(super) lib: &'static [&'static str],
    pub(super) flags: Flags,
    pub(super) bindings: &'static [(u32, &'static str)],
}

super::params::params! {
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
    fn new(plan: &Plan, groups: u32, grid: [u32; 2], numbers: &Numbers) -> Self {
        let count = plan.gain_count();
        let by_columns = |cut: &crate::plan::Cut| matches!(cut.geometry, Geometry::Columns(_));
        let (slot_step, partial_step) = if plan.cuts.iter().any(by_columns) {
            (1, count)
        } else {
            (plan.partials, 1)
        };
        Self {
            grid_width: grid[0],
            groups,
            count,
            batches: plan.slots / count,
            saved: numbers.saved,
            partials: plan.partials,
            slot_step,
            partial_step,
            eps: numbers.eps,
            old_weight: numbers.old_weight,
            new_weight: numbers.new_weight,
            correction: numbers.n / numbers.running_divisor,
        }
    }
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
