//! Holds the kernels `matrix_*` against their host halves, which link other snippets than the strategies'
//! kernels do.

use super::super::matrix::{MatrixKernel, MatrixParams, binding};
use super::super::{
    Form, Io, Output, Reduce, Word, matrix_divide, matrix_dot, matrix_merge, matrix_product,
    matrix_rank_one,
};
use super::headers::Described;
use super::reflection::{Shader, check_bindings, check_entry_point, check_fields, check_overrides};
use super::{Place, assert_found, backends, spoiled, workgroup};
use crate::gpu::Program;

fn kernels() -> [&'static MatrixKernel; 7] {
    [
        &matrix_product::ROWS,
        &matrix_product::COLUMNS,
        &matrix_merge::KERNEL,
        &matrix_divide::KERNEL,
        &matrix_dot::KERNEL,
        &matrix_rank_one::ROWS,
        &matrix_rank_one::COLUMNS,
    ]
}

/// Where an input can lie.
fn places(kernel: &MatrixKernel, number: u32) -> Vec<Place> {
    match (kernel.reads(number), kernel.output) {
        (false, _) => vec![Place::Absent],
        (true, Output::None) => vec![Place::Own, Place::Shared],
        (true, _) => vec![Place::Own, Place::Shared, Place::Output],
    }
}

/// Every choice of snippets that the host half can ask for.
fn variants(kernel: &MatrixKernel) -> Vec<Io> {
    let spans = if kernel.spans { 1..=8 } else { 1..=1 };
    let mut variants = Vec::new();
    for form in spans.map(Form::Span) {
        for word in [Word::F32, Word::F32x4, Word::U64x2] {
            for reduce in [Reduce::Shared, Reduce::Subgroups, Reduce::OneSubgroup] {
                for &x in &places(kernel, binding::X) {
                    variants.extend(places(kernel, binding::DY).into_iter().map(|dy| Io {
                        word,
                        form,
                        reduce,
                        x,
                        dy,
                    }));
                }
            }
        }
    }
    variants
}

pub(super) fn described() -> Vec<Described> {
    let described = |kernel: &MatrixKernel| {
        let variants = variants(kernel).into_iter();
        let programs = variants.map(|io| kernel.program(io, workgroup(io), false));
        (kernel.name, kernel.body, programs.collect())
    };
    kernels().into_iter().map(described).collect()
}

/// All that the shader and its host half disagree about.
fn defects(io: Io, program: &Program, source: &str) -> Vec<String> {
    let shader = match Shader::new(source, io) {
        Ok(shader) => shader,
        Err(error) => return vec![error],
    };
    let mut found = Vec::new();
    check_entry_point(&shader, program, &mut found);
    check_bindings(&shader, program, &mut found);
    let size = size_of::<MatrixParams>();
    check_fields(MatrixParams::FIELDS, size, &shader, &mut found);
    check_overrides(&shader, program, &mut found);
    let width = ("WIDTH", io.word.width() as u32);
    if !shader.constants().any(|constant| constant == width) {
        found.push(format!("the shader has no constant {width:?}"));
    }
    found
}

#[test]
fn matrix_kernels_and_host_halves_agree() {
    let mut found = Vec::new();
    for kernel in kernels() {
        for io in variants(kernel) {
            for fixed in [false, kernel.asks_fixed] {
                let program = kernel.program(io, workgroup(io), fixed);
                let defects = defects(io, &program, &program.sources.concat());
                found.extend(
                    defects
                        .iter()
                        .map(|d| format!("{} {io:?}: {d}", kernel.name)),
                );
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_back_end_takes_every_matrix_kernel() {
    let mut found = Vec::new();
    for kernel in kernels() {
        for io in variants(kernel) {
            for fixed in [false, kernel.asks_fixed] {
                let program = kernel.program(io, workgroup(io), fixed);
                let source = program.sources.concat();
                let defects = backends::defects(&program, io, workgroup(io), &source);
                found.extend(
                    defects
                        .iter()
                        .map(|d| format!("{} {io:?}: {d}", kernel.name)),
                );
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn variants_of_one_kernel_have_numbers_of_their_own() {
    for kernel in kernels() {
        let variants = variants(kernel);
        let numbers: std::collections::HashSet<_> =
            variants.iter().map(|io| io.variant()).collect();
        assert_eq!(numbers.len(), variants.len(), "{}", kernel.name);
    }
}

#[test]
fn spoiled_matrix_kernels_are_found() {
    let kernel = &matrix_merge::KERNEL;
    let io = variants(kernel)[0];
    let program = kernel.program(io, workgroup(io), false);
    for (from, to, expected) in [
        ("fn matrix_merge", "fn merge", "called merge"),
        ("@binding(7)", "@binding(8)", "does not know (8, \"fixed\""),
        (
            "    eps: f32,",
            "    eps2: f32,\n    eps: f32,",
            "(\"eps2\", \"f32\"",
        ),
        (
            "    eps: f32,",
            "    eps: f32, more: vec4<f32>,",
            "bytes, the host half",
        ),
        ("override FIXED", "const FIXED", "no override FIXED"),
        ("WIDTH: u32 = 1u", "WIDTH: u32 = 2u", "(\"WIDTH\", 1)"),
    ] {
        let source = spoiled(&program.sources.concat(), from, to);
        assert_found(&defects(io, &program, &source), expected);
    }
}
