//! What becomes of a composed shader on the way to a driver: workgroup sizes, shared memory, and
//! the text that naga writes for Vulkan, Metal and DirectX.

use naga::AddressSpace;

use super::super::{Form, Io, Word, moments};
use super::reflection::needs;
use super::targets::Parsed;
use super::{Subject, assert_found, for_every_variant, spoiled, workgroup};
use crate::gpu::Program;

/// What WebGPU grants without asking for more.
const MAX_WORKGROUP_BYTES: u32 = 12_288;

/// What is wrong with the program once its overrides have their values.
pub(super) fn defects(program: &Program, io: Io, workgroup: u32, source: &str) -> Vec<String> {
    let (name, needs) = (program.name, needs(io));
    let parsed = Parsed::new(source, needs);
    let shader = match parsed.and_then(|parsed| parsed.with(name, &program.constants)) {
        Ok(shader) => shader,
        Err(error) => return vec![error],
    };
    let module = &shader.module;
    let mut found = Vec::new();
    for (name, value) in &program.constants {
        let expected = match *name {
            "WORKGROUP" => workgroup,
            // The elements that a workgroup sees of a row.
            "TILE" => workgroup * io.word.width() as u32 * span(io),
            _ => continue,
        };
        if value.to_bits() != f64::from(expected).to_bits() {
            found.push(format!("{name} is {value} instead of {expected}"));
        }
    }
    for entry in &module.entry_points {
        let size = entry.workgroup_size;
        if size != [workgroup, 1, 1] {
            found.push(format!("a workgroup of {size:?} instead of {workgroup}"));
        }
    }
    let bytes: u32 = module
        .global_variables
        .iter()
        .filter(|(_, variable)| variable.space == AddressSpace::WorkGroup)
        .map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx()))
        .sum();
    if bytes > MAX_WORKGROUP_BYTES {
        found.push(format!("{bytes} bytes of shared memory"));
    }
    found.extend(shader.spirv(name).err());
    found.extend(shader.metal(name, needs).err());
    found.extend(shader.hlsl(name, needs).err());
    found
}

/// Words of a row that a lane owns.
fn span(io: Io) -> u32 {
    match io.form {
        Form::Span(words) => words,
        _ => 1,
    }
}

#[test]
fn every_back_end_takes_every_program() {
    for_every_variant(|subject, io| {
        let program = subject.linked(io);
        defects(&program, io, workgroup(io), &program.sources.concat())
    });
}

#[test]
fn spoiled_programs_are_found() {
    let kernel = &moments::KERNELS.columns;
    let wide = Io {
        word: Word::F32x4,
        ..Subject::Walk(kernel).variants()[0]
    };
    let program = kernel.program(wide, 256, kernel.flags);
    for (from, to, expected) in [
        (
            "array<vec2<f32>, TILE>",
            "array<vec2<f32>, TILE * 3u>",
            "bytes of shared memory",
        ),
        (
            "@workgroup_size(WORKGROUP)",
            "@workgroup_size(64)",
            "a workgroup of [64, 1, 1] instead of 256",
        ),
        ("override TILE", "const TILE", "overrides: "),
        // An entry point of another name is none for the back ends.
        ("fn moments_columns", "fn other", "SPIR-V: "),
        ("fn moments_columns", "fn other", "Metal: "),
        ("fn moments_columns", "fn other", "HLSL: "),
    ] {
        let source = spoiled(&program.sources.concat(), from, to);
        assert_found(&defects(&program, wide, 256, &source), expected);
    }
    // A host half that forgets how wide a word is, or the size that was asked for.
    let source = program.sources.concat();
    let narrow = Io {
        word: Word::F32,
        ..wide
    };
    let defects_of = |io, workgroup| defects(&program, io, workgroup, &source);
    assert_found(&defects_of(narrow, 256), "TILE is 1024 instead of 256");
    assert_found(&defects_of(wide, 8), "WORKGROUP is 256 instead of 8");
}
