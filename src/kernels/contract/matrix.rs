//! Holds the kernels `matrix_*` against their host halves, which link other snippets than the strategies'
//! kernels do.

use super::super::matrix::MatrixKernel;
use super::super::{Form, Io, matrix_merge};
use super::{Subject, assert_found, reflection, spoiled};

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
    let subject = Subject::Matrix(&matrix_merge::KERNEL);
    let io = subject.variants()[0];
    let program = subject.linked(io);
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
