//! Every shader that can be dispatched, through naga to the languages of three drivers' compilers.

use std::io::Write;
use std::process::{Command, Stdio};

use serde::Serialize;
use wgnorm::Device;
use wgnorm::shaders::{self, Shader};

use crate::effort::Effort;
use crate::report::Report;
use crate::targets::{Needs, Parsed};
use crate::workers;

/// The key `shaders` of the file.
#[derive(Serialize)]
struct Counts {
    /// Shaders that were taken through, and how many there are.
    variants: usize,
    of: usize,
    /// Each with one or more sets of values for its override constants.
    programs: usize,
    targets: Vec<&'static str>,
    errors: usize,
}

/// Values for all override constants.
type Constants = Vec<(&'static str, f64)>;

pub(crate) fn run(_: &Device, effort: &Effort, report: &mut Report) {
    let all: Vec<Shader> = shaders::all().collect();
    // Shaders of one kind follow each other, so that every so many are of all kinds.
    let taken: Vec<(usize, &Shader)> = all.iter().enumerate().step_by(effort.shader_step).collect();
    let validator = Validator::found();
    let results = workers::each(
        &taken,
        || (),
        |(), &(number, shader)| {
            let sets = overrides(shader, number, effort.overrides);
            let found = defects(shader, &sets, validator);
            let name = |error| format!("shaders: {}, number {number}: {error}", shader.kernel);
            (sets.len(), found.into_iter().map(name).collect::<Vec<_>>())
        },
    );
    let programs = results.iter().map(|(sets, _)| sets).sum();
    let errors: Vec<String> = results.into_iter().flat_map(|(_, found)| found).collect();
    let mut targets = vec!["SPIR-V 1.3", "MSL", "HLSL"];
    targets.extend(validator.map(|_| "spirv-val"));
    let counts = Counts {
        variants: taken.len(),
        of: all.len(),
        programs,
        targets,
        errors: errors.len(),
    };
    report.set("shaders", &counts);
    for error in errors {
        report.violation(error);
    }
}

/// Sets of values for the override constants: every size that occurs, the first of them with so many
/// choices of switches.
fn overrides(shader: &Shader, number: usize, most: usize) -> Vec<Constants> {
    let sums = switches(shader, number);
    let mut sets = Vec::new();
    for (i, size) in shader.sizes.iter().enumerate() {
        // Which choice comes first is another one for each shader and size.
        let begin = (number + i) % sums.len();
        let of_this = sums.iter().cycle().skip(begin);
        for sum in of_this.take(most.min(sums.len())) {
            sets.push([&size[..], &sum[..]].concat());
        }
    }
    sets.truncate(most.max(shader.sizes.len()).min(sets.len()));
    sets
}

/// None of the switches, all, and each second one; another half for each shader.
fn switches(shader: &Shader, number: usize) -> Vec<Constants> {
    let Some((constant, bits)) = &shader.switches else {
        return vec![vec![]];
    };
    let all: u32 = bits.iter().map(|(_, bit)| bit).sum();
    let some = all & (number as u32).wrapping_mul(0x9e37_79b9);
    let mut sums = vec![all, some, 0, all & !some];
    sums.dedup();
    let set = |sum: u32| vec![(*constant, f64::from(sum))];
    sums.into_iter().map(set).collect()
}

/// What is wrong with a shader by one of these sets of values.
fn defects(shader: &Shader, sets: &[Constants], validator: Option<Validator>) -> Vec<String> {
    let needs = Needs {
        int64: shader.needs_int64,
        subgroups: shader.needs_subgroups,
    };
    let parsed = match Parsed::new(&shader.source, needs) {
        Ok(parsed) => parsed,
        Err(error) => return vec![error],
    };
    let mut found = Vec::new();
    for constants in sets {
        let written = parsed.with(shader.kernel, constants).and_then(|program| {
            let words = program.spirv(shader.kernel)?;
            program.metal(shader.kernel, needs)?;
            program.hlsl(shader.kernel, needs)?;
            validator.map_or(Ok(()), |validator| validator.check(&words))
        });
        found.extend(written.err().map(|error| format!("{constants:?}: {error}")));
    }
    found
}

/// The program `spirv-val` of SPIRV-Tools.
#[derive(Clone, Copy)]
struct Validator {
    name: &'static str,
}

impl Validator {
    /// None where it is not installed, which it says.
    fn found() -> Option<Self> {
        let name = "spirv-val";
        let version = Command::new(name).arg("--version").output();
        if version.is_err() {
            println!("no {name}, so nobody validates the SPIR-V");
        }
        version.is_ok().then_some(Self { name })
    }

    fn check(self, words: &[u32]) -> Result<(), String> {
        let mut child = Command::new(self.name)
            .args(["--target-env", "vulkan1.1", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", self.name))?;
        let bytes: &[u8] = bytemuck::cast_slice(words);
        // It is dropped here, so that the program reads to the end.
        let sent = child.stdin.take().unwrap().write_all(bytes);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        match sent {
            Ok(()) if output.status.success() => Ok(()),
            _ => Err(format!("{}: {said}", self.name)),
        }
    }
}

#[test]
fn spoiled_shaders_are_found() {
    let validator = Validator::found();
    let shader = shaders::all().next().unwrap();
    let sets = overrides(&shader, 0, 4);
    assert!(sets.len() >= 4, "{sets:?}");
    assert_eq!(defects(&shader, &sets, validator), [""; 0]);
    for (from, to) in [
        ("params.eps", "params.nothing"),
        ("override WORKGROUP", "const WORKGROUP"),
        ("fn moments_rows", "fn moments"),
    ] {
        assert!(shader.source.contains(from), "nothing to spoil: {from}");
        let spoiled = Shader {
            source: shader.source.replace(from, to),
            ..shader.clone()
        };
        let found = defects(&spoiled, &sets, validator);
        assert!(!found.is_empty(), "nobody minds {to}");
    }
    if let Some(validator) = validator {
        let needs = Needs {
            int64: false,
            subgroups: false,
        };
        let parsed = Parsed::new(&shader.source, needs).unwrap();
        let program = parsed.with(shader.kernel, &sets[0]).unwrap();
        let mut words = program.spirv(shader.kernel).unwrap();
        assert_eq!(validator.check(&words), Ok(()));
        // The last instruction is the end of the function.
        words.pop();
        assert!(validator.check(&words).is_err());
    }
}
