//! The flags that a kernel names and those that it looks at, in its body or in a function that it calls.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Flags, backward_dx, normalize};
use super::{Subject, assert_found, spoiled, subjects};

/// The functions of a source: name and body.
fn functions(source: &str) -> BTreeMap<&str, &str> {
    let begins = source.match_indices("\nfn ").map(|(i, _)| i + 4);
    begins
        .map(|begin| {
            let rest = &source[begin..];
            let end = rest.find("\n}").expect("functions end at the margin");
            rest[..end].split_once('(').expect("it has parameters")
        })
        .collect()
}

/// The names that are followed by an argument list.
fn called(text: &str) -> impl Iterator<Item = &str> {
    let in_name = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices('(').map(move |(end, _)| {
        let before = &text[..end];
        let start = before.rfind(|c| !in_name(c)).map_or(0, |i| i + 1);
        &before[start..]
    })
}

/// The flags that the entry point of a source looks at, itself or in what it calls.
fn looked_at(source: &str, entry: &str) -> Flags {
    let functions = functions(source);
    let mut reached = BTreeSet::from([entry]);
    let mut waiting = vec![entry];
    let mut flags = Flags::default();
    while let Some(name) = waiting.pop() {
        let body = functions[name];
        for (flag_name, flag) in Flags::NAMED {
            flags = flags | flag.when(body.contains(&format!("has({flag_name})")));
        }
        let calls = called(body).filter(|&call| functions.contains_key(call));
        waiting.extend(calls.filter(|&call| reached.insert(call)));
    }
    flags
}

/// Flags that some variant looks at without a name, and named ones that stand in no source.
fn defects(subject: Subject, sources: &[String]) -> Vec<String> {
    let looked = sources
        .iter()
        .map(|source| looked_at(source, subject.name()));
    let looked = looked.fold(Flags::default(), |all, flags| all | flags);
    let mut found = Vec::new();
    for (name, flag) in Flags::NAMED {
        // A cumulative mean is never resident.
        let excused = flag == Flags::CUMULATIVE && subject.name().contains("resident");
        if looked.has(flag) && !subject.flags().has(flag) && !excused {
            found.push(format!("it looks at {name} without a word"));
        }
        let text = format!("has({name})");
        if subject.flags().has(flag) && !sources.iter().any(|source| source.contains(&text)) {
            found.push(format!("it does not look at {name}"));
        }
    }
    found
}

fn sources(subject: Subject) -> Vec<String> {
    let variants = subject.variants().into_iter();
    let sources: BTreeSet<_> = variants
        .map(|io| subject.linked(io).sources.concat())
        .collect();
    sources.into_iter().collect()
}

#[test]
fn kernels_name_the_flags_that_they_look_at() {
    let mut found = Vec::new();
    for subject in subjects() {
        let defects = defects(subject, &sources(subject));
        found.extend(defects.iter().map(|d| format!("{}: {d}", subject.name())));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn spoiled_flags_are_found() {
    let rows = Subject::Walk(&normalize::KERNELS.rows);
    let columns = Subject::Walk(&backward_dx::KERNELS.columns);
    for (subject, from, to, expected) in [
        // In the body, in a snippet, and in a snippet that a snippet calls.
        (
            rows,
            "has(SAVE)",
            "has(WANT_DX)",
            "looks at WANT_DX without",
        ),
        (rows, "has(SAVE)", "true", "does not look at SAVE"),
        (
            rows,
            "has(HAS_BETA)",
            "has(HAS_TRACKED)",
            "looks at HAS_TRACKED",
        ),
        (columns, "has(GROUPED)", "has(SAVE)", "looks at SAVE"),
        (
            columns,
            "has(CORRECTED)",
            "true",
            "does not look at CORRECTED",
        ),
    ] {
        let sources = sources(subject);
        let spoiled: Vec<_> = sources.iter().map(|s| spoiled(s, from, to)).collect();
        assert_found(&defects(subject, &spoiled), expected);
    }
    // What nobody calls looks at nothing.
    let sources = sources(rows);
    let more = |s: &String| format!("{s}\nfn idle(a: u32) {{\n    has(HAS_TRACKED);\n}}\n");
    let idle: Vec<_> = sources.iter().map(more).collect();
    assert_eq!(defects(rows, &idle), Vec::<String>::new());
}
