//! What naga reads in a composed shader: entry point, bindings, parameters, constants.

use naga::{
    AddressSpace, Expression, GlobalVariable, Handle, Literal, ScalarKind, ShaderStage,
    StorageAccess, TypeInner,
};

use super::super::{Flags, Form, Io, Reduce, backward_sums, fold_sums, moments};
use super::targets::{Needs, Parsed};
use super::{Subject, assert_found, for_every_variant, matrix, spoiled};
use crate::gpu::{Access, Program};
use crate::plan::MAX_TURNS;

/// What WebGPU grants without asking for more.
const MAX_STORAGE_BUFFERS: usize = 8;

impl Parsed {
    /// Storage and uniform variables with their names.
    fn resources(&self) -> impl Iterator<Item = (Handle<GlobalVariable>, &GlobalVariable, &str)> {
        self.module
            .global_variables
            .iter()
            .filter(|(_, variable)| {
                !matches!(
                    variable.space,
                    AddressSpace::WorkGroup | AddressSpace::Private
                )
            })
            .map(|(handle, variable)| (handle, variable, name_of(variable.name.as_ref())))
    }

    /// Names and values of the module's u32 constants.
    fn constants(&self) -> impl Iterator<Item = (&str, u32)> {
        self.module.constants.iter().filter_map(|(_, constant)| {
            match self.module.global_expressions[constant.init] {
                Expression::Literal(Literal::U32(value)) => {
                    Some((name_of(constant.name.as_ref()), value))
                }
                _ => None,
            }
        })
    }
}

fn name_of(name: Option<&String>) -> &str {
    name.map_or("(nameless)", String::as_str)
}

/// What a choice of snippets needs beyond what WebGPU has without optional features.
pub(super) fn needs(io: Io) -> Needs {
    Needs {
        int64: io.word.is_int64(),
        subgroups: io.reduce != Reduce::Shared,
    }
}

/// All that the shader and its host half disagree about.
pub(super) fn defects(subject: Subject, io: Io, program: &Program, source: &str) -> Vec<String> {
    let shader = match Parsed::new(source, needs(io)) {
        Ok(shader) => shader,
        Err(error) => return vec![error],
    };
    let mut found = Vec::new();
    check_entry_point(&shader, program, &mut found);
    check_bindings(&shader, program, &mut found);
    check_parameters(subject, &shader, &mut found);
    check_constants(subject, io, &shader, program, &mut found);
    found
}

fn check_entry_point(shader: &Parsed, program: &Program, found: &mut Vec<String>) {
    let [entry] = &shader.module.entry_points[..] else {
        found.push(format!(
            "{} entry points instead of one",
            shader.module.entry_points.len()
        ));
        return;
    };
    if entry.name != program.name {
        found.push(format!("the entry point is called {}", entry.name));
    }
    if entry.stage != ShaderStage::Compute {
        found.push(format!("the entry point is for stage {:?}", entry.stage));
    }
}

/// Compares the sets of (binding, name, access), and looks for bindings that nobody uses.
fn check_bindings(shader: &Parsed, program: &Program, found: &mut Vec<String>) {
    let mut expected = vec![(0, "params", AddressSpace::Uniform)];
    expected.extend(program.bindings.iter().map(|binding| {
        let access = match binding.access {
            Access::Read => StorageAccess::LOAD,
            Access::ReadWrite => StorageAccess::LOAD | StorageAccess::STORE,
        };
        (
            binding.number,
            binding.name,
            AddressSpace::Storage { access },
        )
    }));
    let mut declared = Vec::new();
    for (handle, variable, name) in shader.resources() {
        let Some(place) = variable.binding else {
            found.push(format!("{name} has no binding"));
            continue;
        };
        if place.group != 0 {
            found.push(format!("{name} is in group {}", place.group));
        }
        if shader.info.get_entry_point(0)[handle].is_empty() {
            found.push(format!("{name} is bound but never used"));
        }
        declared.push((place.binding, name, variable.space));
    }
    for missing in expected.iter().filter(|&b| !declared.contains(b)) {
        found.push(format!("the shader does not declare {missing:?}"));
    }
    for extra in declared.iter().filter(|&b| !expected.contains(b)) {
        found.push(format!("the host half does not know {extra:?}"));
    }
    let buffers = program.bindings.len();
    if buffers > MAX_STORAGE_BUFFERS {
        found.push(format!("{buffers} storage buffers"));
    }
}

/// Compares names, order, types and offsets of the uniform's fields.
fn check_parameters(subject: Subject, shader: &Parsed, found: &mut Vec<String>) {
    let (fields, size) = subject.parameters();
    let Some((_, params, _)) = shader.resources().find(|(.., name)| *name == "params") else {
        found.push("no params".into());
        return;
    };
    let TypeInner::Struct { members, span } = &shader.module.types[params.ty].inner else {
        found.push("params is no struct".into());
        return;
    };
    if *span as usize != size {
        found.push(format!("Params has {span} bytes, the host half {size}"));
    }
    let declared: Vec<_> = members
        .iter()
        .map(|member| {
            let ty = match shader.module.types[member.ty].inner {
                TypeInner::Scalar(scalar) => match (scalar.kind, scalar.width) {
                    (ScalarKind::Uint, 4) => "u32",
                    (ScalarKind::Float, 4) => "f32",
                    _ => "another scalar",
                },
                _ => "no scalar",
            };
            (name_of(member.name.as_ref()), ty, member.offset as usize)
        })
        .collect();
    for i in 0..declared.len().max(fields.len()) {
        let (ours, theirs) = (fields.get(i), declared.get(i));
        if ours != theirs {
            found.push(format!(
                "field {i} of Params is {theirs:?}, in the host half {ours:?}"
            ));
        }
    }
}

/// What the shaders compute of their other constants.
const DERIVED: [&str; 6] = ["ROWS", "PAIRS", "PART", "ENTRIES", "CHUNK", "SAMPLED"];

/// Compares the overrides, the flags and the width of a word.
fn check_constants(
    subject: Subject,
    io: Io,
    shader: &Parsed,
    program: &Program,
    found: &mut Vec<String>,
) {
    let given: Vec<_> = program.constants.iter().map(|(name, _)| *name).collect();
    let overrides: Vec<_> = shader
        .module
        .overrides
        .iter()
        .map(|(_, constant)| name_of(constant.name.as_ref()))
        .collect();
    for name in overrides.iter().filter(|name| !given.contains(name)) {
        found.push(format!("the host half gives override {name} no value"));
    }
    for name in given.iter().filter(|name| !overrides.contains(name)) {
        found.push(format!("there is no override {name}"));
    }
    let reads_flags = shader.constants().any(|(name, _)| name == "HAS_GAMMA");
    let mut expected = match subject {
        Subject::Walk(_) => constants_of(io),
        Subject::Fold(_) => vec![],
        Subject::Matrix(kernel) => matrix::constants(kernel, io),
    };
    if reads_flags {
        expected.extend(Flags::NAMED.map(|(name, flag)| (name, flag.0)));
    }
    for missing in expected
        .iter()
        .filter(|&e| !shader.constants().any(|c| c == *e))
    {
        found.push(format!("the shader has no constant {missing:?}"));
    }
    let extra = |c: &(&str, u32)| !expected.contains(c) && !DERIVED.contains(&c.0);
    for extra in shader.constants().filter(extra) {
        found.push(format!("the host half does not know constant {extra:?}"));
    }
}

/// The constants that a choice of snippets brings.
fn constants_of(io: Io) -> Vec<(&'static str, u32)> {
    let mut constants = vec![("WIDTH", io.word.width() as u32)];
    let turns = if io.in_turns { MAX_TURNS as u32 } else { 1 };
    constants.extend(match io.form {
        Form::Whole | Form::Ragged => vec![("TURNS", turns)],
        Form::Span(words) => vec![("SPAN", words)],
        Form::HeldRows(words) => vec![("TURNS", 1), ("HELD", words)],
        Form::HeldColumns(words) => vec![("SPAN", 1), ("HELD", words)],
    });
    constants
}

#[test]
fn shaders_and_host_halves_agree() {
    for_every_variant(|subject, io| {
        let program = subject.linked(io);
        defects(subject, io, &program, &program.sources.concat())
    });
}

#[test]
fn spoiled_shaders_are_found() {
    let subject = Subject::Walk(&moments::KERNELS.rows);
    let io = subject.variants()[0];
    let program = subject.linked(io);
    for (from, to, expected) in [
        // The entry point.
        ("fn moments_rows", "fn moment_rows", "called moment_rows"),
        (
            "@compute @workgroup_size(WORKGROUP)",
            "@compute @workgroup_size(1) fn more() {} @compute @workgroup_size(WORKGROUP)",
            "2 entry points instead of one",
        ),
        // Number, group, name, access and use of a binding.
        ("@binding(4)", "@binding(14)", "does not declare (4,"),
        ("@binding(4)", "@binding(14)", "does not know (14,"),
        ("@group(0) @binding(4)", "@group(1) @binding(4)", "group 1"),
        ("tracked", "counted", "does not know (9, \"counted\""),
        (
            "var<storage, read> x",
            "var<storage, read_write> x",
            "does not declare (1, \"x\"",
        ),
        (
            "override WORKGROUP",
            "@group(0) @binding(5) var<storage, read> gamma: array<f32>; override WORKGROUP",
            "gamma is bound but never used",
        ),
        // Order, offset, number and size of the parameters.
        (
            "    eps: f32,\n    old_weight: f32,",
            "    old_weight: f32,\n    eps: f32,",
            "field 25 of Params is Some((\"old_weight\"",
        ),
        (
            "    eps: f32,",
            "    @size(8) eps: f32,",
            "Params has 148 bytes, the host half 144",
        ),
        (
            "    running_divisor: f32,",
            "    running_divisor: f32, more: vec4<f32>,",
            "Params has 176 bytes, the host half 144",
        ),
        // Overrides and constants.
        (
            "override WORKGROUP",
            "const WORKGROUP",
            "no override WORKGROUP",
        ),
        (
            "override WORKGROUP",
            "override MORE: u32 = 1u; override WORKGROUP",
            "gives override MORE no value",
        ),
        (
            "HAS_BETA: u32 = 2u",
            "HAS_BETA: u32 = 4u",
            "no constant (\"HAS_BETA\", 2)",
        ),
        (
            "const HAS_BETA",
            "const MORE: u32 = 4096u; const HAS_BETA",
            "does not know constant (\"MORE\", 4096)",
        ),
        ("WIDTH: u32 = 1u", "WIDTH: u32 = 4u", "(\"WIDTH\", 1)"),
        // What naga refuses.
        ("@binding(4)", "@binding(0)", "conflict with other resource"),
        ("+ params.eps", "+ params.epsilon", "invalid field accessor"),
        ("alias Word = f32", "enable f16; alias Word = f16", "f16"),
    ] {
        let source = spoiled(&program.sources.concat(), from, to);
        assert_found(&defects(subject, io, &program, &source), expected);
    }
}

#[test]
fn spoiled_gains_and_folds_are_found() {
    let sums = Subject::Walk(&backward_sums::KERNELS.rows);
    let elements = sums.variants().into_iter().find(|io| io.element_gains);
    let elements = elements.expect("a variant with gains of elements");
    let fold = Subject::Fold(&fold_sums::KERNEL);
    let shared = fold.variants()[0];
    for (subject, io, from, to, expected) in [
        (
            sums,
            elements,
            "v * unpack_gains(gamma[word])",
            "v",
            "gamma is bound but never used",
        ),
        (
            sums,
            elements,
            "@binding(5)",
            "@binding(6)",
            "does not declare (5, \"gamma\"",
        ),
        (
            fold,
            shared,
            "dgamma[gain] = sums.y;",
            "",
            "dgamma is bound but never used",
        ),
        (
            fold,
            shared,
            "slot_step",
            "slot_steps",
            "field 6 of Params is Some((\"slot_steps\", \"u32\", 24))",
        ),
        (
            fold,
            shared,
            "override FLAGS",
            "const FLAGS",
            "no override FLAGS",
        ),
    ] {
        let program = subject.linked(io);
        let source = spoiled(&program.sources.concat(), from, to);
        assert_found(&defects(subject, io, &program, &source), expected);
    }
}
