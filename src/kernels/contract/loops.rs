//! Variables of a loop's body begin with a value that is written down. WGSL makes them zero each time
//! around; Tint as Dawn has it in npm's `webgpu` 0.6.2 does so once when it writes SPIR-V, and sums that
//! begin in a loop then go on from the ones before.

use super::{assert_found, spoiled, subjects};

/// Declarations without a value in the body of a loop, by their lines. Braces open at the ends of lines.
fn defects(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    // Of every open brace whether it is a loop's, or lies in one.
    let mut loops: Vec<bool> = Vec::new();
    for (number, line) in source.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default().trim();
        let in_loop = loops.last().copied().unwrap_or(false);
        if in_loop && code.starts_with("var ") && !code.contains('=') {
            found.push(format!("line {}: {code} has no value", number + 1));
        }
        let begins = ["for ", "while ", "loop "];
        let is_loop = begins.iter().any(|begin| code.starts_with(begin));
        for brace in code.chars() {
            match brace {
                '{' => loops.push(in_loop || is_loop),
                '}' => drop(loops.pop()),
                _ => {}
            }
        }
    }
    found
}

#[test]
fn variables_of_loops_have_values() {
    let mut found = Vec::new();
    for subject in subjects() {
        let io = subject.variants()[0];
        for source in subject.linked(io).sources {
            let defects = defects(source);
            found.extend(defects.iter().map(|d| format!("{}: {d}", subject.name())));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn variables_without_values_are_found() {
    let subject = subjects()[1];
    assert_eq!(subject.name(), "moments_columns");
    let source = subject.body();
    for name in ["long", "part"] {
        let (from, to) = (
            format!("var {name} = Sums();"),
            format!("var {name}: Sums;"),
        );
        let spoiled = spoiled(source, &from, &to);
        assert_found(&defects(&spoiled), &format!("{to} has no value"));
    }
    // Outside of loops WGSL's zero is one for all.
    assert_eq!(defects("fn f() {\n    var a: f32;\n}"), [""; 0]);
}
