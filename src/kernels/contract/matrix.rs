//! Holds the kernels `matrix_*` against their host halves, which link other snippets than the strategies'
//! kernels do.

use super::super::matrix::{MatrixKernel, binding};
use super::super::{
    Form, Io, Output, matrix_divide, matrix_dot, matrix_merge, matrix_product, matrix_rank_one,
};
use super::{FLOATS, NEUTRAL, Place, REDUCES, Subject, assert_found, reflection, spoiled};

pub(super) fn kernels() -> [&'static MatrixKernel; 7] {
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
pub(super) fn variants(kernel: &MatrixKernel) -> Vec<Io> {
    let spans = if kernel.spans { 1..=8 } else { 1..=1 };
    let mut variants = Vec::new();
    for form in spans.map(Form::Span) {
        for word in FLOATS {
            for reduce in REDUCES {
                for &x in &places(kernel, binding::X) {
                    variants.extend(places(kernel, binding::DY).into_iter().map(|dy| Io {
                        word,
                        form,
                        reduce,
                        x,
                        dy,
                        ..NEUTRAL
                    }));
                }
            }
        }
    }
    variants
}

/// The constants that a choice of snippets brings.
pub(super) fn constants(kernel: &MatrixKernel, io: Io) -> Vec<(&'static str, u32)> {
    let span = match io.form {
        Form::Span(words) if kernel.spans => Some(("SPAN", words)),
        _ => None,
    };
    let width = ("WIDTH", io.word.width() as u32);
    [width].into_iter().chain(span).collect()
}

#[test]
fn spoiled_matrix_kernels_are_found() {
    let kernel = &matrix_merge::KERNEL;
    let (subject, io) = (Subject::Matrix(kernel), variants(kernel)[0]);
    let program = subject.program(io);
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
        assert_found(
            &reflection::defects(subject, io, &program, &source),
            expected,
        );
    }
}
