//! What becomes of a composed shader on the way to a driver: workgroup sizes, shared memory, and
//! the text that naga writes for Vulkan, Metal and DirectX.

use naga::back::pipeline_constants::process_overrides;
use naga::back::{hlsl, msl, spv};
use naga::valid::ModuleInfo;
use naga::{AddressSpace, Module, ShaderStage};

use super::super::{Form, Io, Reduce, Word, moments};
use super::reflection::Shader;
use super::{assert_found, for_every_variant, spoiled, variants, workgroup};
use crate::gpu::Program;

/// What WebGPU grants without asking for more.
const MAX_WORKGROUP_BYTES: u32 = 12_288;

/// What is wrong with the program once its overrides have their values.
pub(super) fn defects(program: &Program, io: Io, workgroup: u32, source: &str) -> Vec<String> {
    let shader = match Shader::new(source, io) {
        Ok(shader) => shader,
        Err(error) => return vec![error],
    };
    let constants = program
        .constants
        .iter()
        .map(|(name, value)| ((*name).to_owned(), *value))
        .collect();
    let entry_point = Some((ShaderStage::Compute, program.name));
    let (module, info) =
        match process_overrides(&shader.module, &shader.info, entry_point, &constants) {
            Ok(processed) => processed,
            Err(error) => return vec![format!("overrides: {error}")],
        };
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
    found.extend(write_spirv(program, &module, &info).err());
    found.extend(write_metal(program, io, &module, &info).err());
    found.extend(write_hlsl(program, io, &module, &info).err());
    found
}

/// Words of a row that a lane owns.
fn span(io: Io) -> u32 {
    match io.form {
        Form::Span(words) => words,
        _ => 1,
    }
}

/// Whether the program needs more of a back end than WebGPU does.
fn is_special(io: Io) -> bool {
    io.word.is_int64() || io.reduce != Reduce::Shared
}

fn write_spirv(program: &Program, module: &Module, info: &ModuleInfo) -> Result<(), String> {
    let options = spv::Options {
        // Subgroups came with this one.
        lang_version: (1, 3),
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        ..spv::Options::default()
    };
    let entry_point = spv::PipelineOptions {
        shader_stage: ShaderStage::Compute,
        entry_point: program.name.to_owned(),
    };
    match spv::write_vec(module, info, &options, Some(&entry_point)) {
        Ok(words) if words.is_empty() => Err("SPIR-V: nothing written".into()),
        Ok(_) => Ok(()),
        Err(error) => Err(format!("SPIR-V: {error}")),
    }
}

fn write_metal(
    program: &Program,
    io: Io,
    module: &Module,
    info: &ModuleInfo,
) -> Result<(), String> {
    let options = msl::Options {
        lang_version: if is_special(io) { (2, 3) } else { (2, 0) },
        zero_initialize_workgroup_memory: false,
        ..msl::Options::default()
    };
    let entry_point = msl::PipelineOptions {
        entry_point: Some((ShaderStage::Compute, program.name.to_owned())),
        ..msl::PipelineOptions::default()
    };
    let (text, written) = msl::write_string(module, info, &options, &entry_point)
        .map_err(|error| format!("Metal: {error}"))?;
    match &written.entry_point_names[..] {
        [Ok(name)] if text.contains(name.as_str()) => Ok(()),
        names => Err(format!("Metal: {names:?}")),
    }
}

fn write_hlsl(program: &Program, io: Io, module: &Module, info: &ModuleInfo) -> Result<(), String> {
    let options = hlsl::Options {
        shader_model: if is_special(io) {
            hlsl::ShaderModel::V6_0
        } else {
            hlsl::ShaderModel::V5_1
        },
        zero_initialize_workgroup_memory: false,
        ..hlsl::Options::default()
    };
    let entry_point = hlsl::PipelineOptions {
        entry_point: Some((ShaderStage::Compute, program.name.to_owned())),
    };
    let mut text = String::new();
    let written = hlsl::Writer::new(&mut text, &options, &entry_point)
        .write(module, info, None)
        .map_err(|error| format!("HLSL: {error}"))?;
    match &written.entry_point_names[..] {
        [Ok(name)] if text.contains(name.as_str()) => Ok(()),
        names => Err(format!("HLSL: {names:?}")),
    }
}

#[test]
fn every_back_end_takes_every_program() {
    for_every_variant(|subject, io| {
        let program = subject.program(io);
        defects(&program, io, workgroup(io), &program.sources.concat())
    });
}

#[test]
fn spoiled_programs_are_found() {
    let kernel = &moments::KERNELS.columns;
    let wide = Io {
        word: Word::F32x4,
        ..variants(kernel)[0]
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
