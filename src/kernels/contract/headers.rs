//! What a shader's header promises its reader: the host half, the snippets and the bindings.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::super::moments;
use super::{Subject, assert_found, spoiled, subjects};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The shaders in a folder: file stem and text.
fn shaders(folder: &str) -> BTreeMap<String, String> {
    let files = fs::read_dir(root().join(folder)).expect("the folder is part of the crate");
    files
        .map(|file| file.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "wgsl"))
        .map(|path: PathBuf| {
            let stem = path.file_stem().expect("it has an ending before this");
            let text = fs::read_to_string(&path).expect("shaders are UTF-8");
            (stem.to_string_lossy().into_owned(), text)
        })
        .collect()
}

/// The stems of the snippets that the variants of a kernel are linked with, its body not among
/// them.
fn linked(subject: Subject, lib: &BTreeMap<String, String>) -> BTreeSet<String> {
    let variants = subject.variants().into_iter();
    let sources: BTreeSet<_> = variants
        .flat_map(|io| subject.linked(io).sources)
        .filter(|source| *source != subject.body())
        .collect();
    sources
        .into_iter()
        .map(|source| {
            let mut twins = lib.iter().filter(|(_, text)| *text == source);
            match (twins.next(), twins.next()) {
                (Some((stem, _)), None) => stem.clone(),
                _ => panic!("{} is linked with no one snippet", subject.name()),
            }
        })
        .collect()
}

/// The comment at the top of a shader as one line.
fn header(body: &str) -> String {
    body.lines()
        .map_while(|line| line.strip_prefix("//"))
        .map(str::trim)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The snippets that a header lists, from `Lib:` to the full stop.
fn listed(header: &str) -> Vec<&str> {
    let list = header.split_once("Lib:").map_or("", |(_, rest)| rest);
    let list = list.split('.').next().unwrap_or_default();
    list.split(',').map(str::trim).collect()
}

/// Whether the snippet is the named one, or one of the family that `name_*` stands for.
fn names_snippet(entry: &str, stem: &str) -> bool {
    match entry.strip_suffix('*') {
        Some(family) => stem.starts_with(family),
        None => stem == entry,
    }
}

fn defects(
    subject: Subject,
    body: &str,
    linked: &BTreeSet<String>,
    host_half: &str,
) -> Vec<String> {
    let header = header(body);
    let mut found = Vec::new();

    let stem = subject.name().trim_end_matches("_rows");
    let host = format!("src/kernels/{}.rs", stem.trim_end_matches("_columns"));
    if !header.contains(&format!("Host half: {host}. ")) {
        found.push(format!("the header does not say Host half: {host}"));
    }
    let shader = format!("shaders/{}.wgsl", subject.name());
    if !host_half
        .lines()
        .take_while(|line| line.starts_with("//!"))
        .any(|line| line.contains(&shader))
    {
        found.push(format!("{host} does not begin with the name of {shader}"));
    }

    let listed = listed(&header);
    for entry in &listed {
        if !linked.iter().any(|stem| names_snippet(entry, stem)) {
            found.push(format!("the header lists {entry:?}, which is never linked"));
        }
    }
    for stem in linked {
        if !listed.iter().any(|entry| names_snippet(entry, stem)) {
            found.push(format!("the header does not list {stem}"));
        }
    }

    let variants = subject.variants().into_iter();
    let bound: BTreeSet<&str> = variants
        .flat_map(|io| subject.linked(io).bindings)
        .map(|binding| binding.name)
        .collect();
    let words: BTreeSet<&str> = header
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect();
    for name in bound.difference(&words) {
        found.push(format!("the header does not explain {name}"));
    }
    if !header.contains("Grid:") {
        found.push("the header does not describe the Grid:".into());
    }
    found
}

fn host_half_of(subject: Subject) -> String {
    let stem = subject.name().trim_end_matches("_rows");
    let stem = stem.trim_end_matches("_columns");
    fs::read_to_string(root().join(format!("src/kernels/{stem}.rs")))
        .expect("every kernel has a host half")
}

#[test]
fn headers_tell_the_truth() {
    let lib = shaders("shaders/lib");
    let mut found = Vec::new();
    for subject in subjects() {
        let defects = defects(
            subject,
            subject.body(),
            &linked(subject, &lib),
            &host_half_of(subject),
        );
        found.extend(defects.iter().map(|d| format!("{}: {d}", subject.name())));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn spoiled_headers_are_found() {
    let subject = Subject::Walk(&moments::KERNELS.rows);
    let linked = linked(subject, &shaders("shaders/lib"));
    let host_half = host_half_of(subject);
    for (from, to, expected) in [
        ("moments.rs", "moment.rs", "does not say Host half"),
        ("Lib: ", "Lib: columns, ", "\"columns\", which is never"),
        ("io_x*, ", "", "does not list io_x_shared"),
        ("reduce_*, barrier", "barrier", "list reduce_shared"),
        ("tracked [1]", "count [1]", "does not explain tracked"),
        ("// Grid", "// Shape", "describe the Grid"),
    ] {
        let body = spoiled(subject.body(), from, to);
        assert_found(&defects(subject, &body, &linked, &host_half), expected);
    }
    let anonymous = spoiled(&host_half, "moments_rows.wgsl", "rows.wgsl");
    assert_found(
        &defects(subject, subject.body(), &linked, &anonymous),
        "does not begin with the name of shaders/moments_rows.wgsl",
    );
}

#[test]
fn every_shader_is_linked() {
    let bodies: BTreeSet<_> = shaders("shaders").into_values().collect();
    let used: BTreeSet<_> = subjects().iter().map(|s| s.body().to_owned()).collect();
    assert_eq!(bodies, used, "a kernel without its file, or the reverse");

    let lib = shaders("shaders/lib");
    let used: BTreeSet<_> = subjects().iter().flat_map(|&s| linked(s, &lib)).collect();
    let all: BTreeSet<_> = lib.into_keys().collect();
    assert_eq!(all, used, "a snippet that no variant is linked with");
}

/// The source files that a shader's comments send their reader to.
fn mentioned(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | ':' | '`' | '(' | ')'))
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| word.starts_with("src/") || word.starts_with("shaders/"))
}

#[test]
fn shaders_mention_files_that_exist() {
    assert_eq!(
        mentioned("// Host half: src/a.rs. Lib: b; see `shaders/lib/c.wgsl`.").collect::<Vec<_>>(),
        ["src/a.rs", "shaders/lib/c.wgsl"]
    );
    for folder in ["shaders", "shaders/lib"] {
        for (stem, text) in shaders(folder) {
            for path in mentioned(&text) {
                assert!(root().join(path).exists(), "{stem} mentions {path}");
            }
        }
    }
}
