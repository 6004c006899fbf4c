//! The kernels as texts, for whoever wants to read or compile them outside of this crate.

use std::collections::HashMap;

use super::catalogue::{Subject, subjects};
use super::{Flags, Io};
use crate::gpu::{Binding, Program};

/// A kernel with everything linked: one text that the crate may compile.
#[derive(Clone, Debug)]
pub struct Shader {
    /// The kernel, which is also the entry point and, as `wgnorm.<kernel>`, its label on a GPU.
    pub kernel: &'static str,
    /// The WGSL.
    pub source: String,
    /// The storage buffers; binding 0 is the uniform block. All are of group 0.
    pub bindings: Vec<Binding>,
    /// Values of the override constants that go together: the workgroup's size and what follows from
    /// it.
    pub sizes: Vec<Vec<(&'static str, f64)>>,
    /// The override constant for switches, with the name and the bit of each, where there is one. Which
    /// of them are on together is the norms' business: every sum of these bits compiles.
    pub switches: Option<(&'static str, Vec<(&'static str, u32)>)>,
    /// Whether it needs `SHADER_INT64` of wgpu, which no browser has.
    pub needs_int64: bool,
    /// Whether it needs `SUBGROUP`.
    pub needs_subgroups: bool,
    /// Whether it needs `SUBGROUP_BARRIER` of wgpu, which no browser has.
    pub needs_subgroup_barrier: bool,
}

/// Every shader that this crate compiles on one device or another, kernel by kernel.
pub fn all() -> impl Iterator<Item = Shader> {
    subjects().into_iter().flat_map(shaders)
}

/// The texts of one kernel; several choices of snippets may come to the same.
fn shaders(subject: Subject) -> Vec<Shader> {
    let mut found: Vec<Shader> = Vec::new();
    let mut places = HashMap::new();
    for (io, workgroup) in subject.choices() {
        let program = subject.program(io, workgroup, subject.switches());
        let place = *places.entry(program.sources.clone()).or_insert_with(|| {
            found.push(Shader::new(subject, io, &program));
            found.len() - 1
        });
        let of_size = |(name, _): &(&str, f64)| !matches!(*name, "FLAGS" | "FIXED");
        let size: Vec<_> = program.constants.into_iter().filter(of_size).collect();
        let sizes = &mut found[place].sizes;
        if !sizes.contains(&size) {
            sizes.push(size);
        }
    }
    found
}

impl Shader {
    /// Without sizes.
    fn new(subject: Subject, io: Io, program: &Program) -> Self {
        let source = program.sources.concat();
        // Columns link of a way to add up only what lanes wait for each other with.
        let needs_subgroup_barrier = source.contains("subgroupBarrier(");
        Self {
            kernel: program.name,
            bindings: program.bindings.clone(),
            sizes: Vec::new(),
            switches: switches(subject),
            needs_int64: io.word.is_int64(),
            needs_subgroups: needs_subgroup_barrier || source.contains("subgroupAdd("),
            needs_subgroup_barrier,
            source,
        }
    }
}

fn switches(subject: Subject) -> Option<(&'static str, Vec<(&'static str, u32)>)> {
    let bits = Flags(subject.switches());
    match subject {
        _ if bits == Flags::default() => None,
        Subject::Matrix(_) => Some(("FIXED", vec![("FIXED", 1)])),
        _ => {
            let named = Flags::NAMED.into_iter().filter(|&(_, flag)| bits.has(flag));
            Some(("FLAGS", named.map(|(name, flag)| (name, flag.0)).collect()))
        }
    }
}
