//! The laws of the architecture, read off the sources: who may know whom. Each law is a function
//! from a source to its breaches, and is tried on a made-up bad source beside the real ones.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};

/// A file with more lines holds two subjects and wants to be split.
const MAX_LINES: usize = 420;

/// A word or a punctuation character of Rust or WGSL.
#[derive(Clone, Debug, PartialEq)]
struct Token {
    line: usize,
    text: String,
}

/// The code without comments and with every string emptied: what prose says breaks no law.
fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or(' ');
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut tokens = Vec::new();
    let (mut i, mut line) = (0, 1);
    while i < chars.len() {
        let begin = i;
        let mut text = String::new();
        match (at(i), at(i + 1)) {
            ('/', '/') => i += chars[i..].iter().take_while(|&&c| c != '\n').count(),
            ('/', '*') => i = end_of_block_comment(&chars, i),
            ('r', '"' | '#') => {
                let hashes = chars[i + 1..].iter().take_while(|&&c| c == '#').count();
                if at(i + 1 + hashes) == '"' {
                    i = end_of_raw_string(&chars, i + 2 + hashes, hashes);
                    text.push('"');
                } else {
                    // A raw identifier.
                    i += 1;
                }
            }
            ('"', _) => {
                i += 1;
                while i < chars.len() && at(i) != '"' {
                    i += if at(i) == '\\' { 2 } else { 1 };
                }
                i += 1;
                text.push('"');
            }
            // A character, unlike a lifetime, is closed after one character or an escape.
            ('\'', '\\') => {
                let escape = chars.iter().skip(i + 3);
                i += 4 + escape.take_while(|&&c| c != '\'').count();
            }
            ('\'', _) if at(i + 2) == '\'' => i += 3,
            (c, _) if is_word(c) => {
                text.extend(chars[i..].iter().take_while(|&&c| is_word(c)));
                i += text.chars().count();
            }
            (c, _) => {
                if !c.is_whitespace() {
                    text.push(c);
                }
                i += 1;
            }
        }
        if !text.is_empty() {
            tokens.push(Token { line, text });
        }
        let end = i.min(chars.len());
        line += chars[begin..end].iter().filter(|&&c| c == '\n').count();
    }
    tokens
}

fn end_of_block_comment(chars: &[char], begin: usize) -> usize {
    let (mut i, mut depth) = (begin, 0);
    while i < chars.len() {
        match chars[i..] {
            ['/', '*', ..] => (depth, i) = (depth + 1, i + 2),
            ['*', '/', ..] => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i
}

fn end_of_raw_string(chars: &[char], begin: usize, hashes: usize) -> usize {
    let mut end = vec!['"'];
    end.resize(1 + hashes, '#');
    let length = chars[begin..].windows(end.len()).position(|w| w == end);
    begin + length.map_or(chars.len(), |length| length + end.len())
}

/// Where these tokens stand in this order, whatever white space and comments lie between them.
fn find<'a>(tokens: &'a [Token], words: &'a [&str]) -> impl Iterator<Item = &'a Token> {
    tokens
        .windows(words.len())
        .filter(|window| {
            window
                .iter()
                .map(|t| t.text.as_str())
                .eq(words.iter().copied())
        })
        .map(|window| &window[0])
}

fn breach(token: &Token, law: &str) -> String {
    format!("line {}: {:?}: {law}", token.line, token.text)
}

/// Only src/gpu speaks to wgpu; all that others may do is to pass it on as `pub use wgpu`.
fn speaks_to_wgpu(source: &str) -> Vec<String> {
    let tokens = tokens(source);
    let passed_on: Vec<usize> = find(&tokens, &["pub", "use", "wgpu", ";"])
        .map(|token| token.line)
        .collect();
    find(&tokens, &["wgpu"])
        .filter(|token| !passed_on.contains(&token.line))
        .map(|token| breach(token, "wgpu is spoken to under src/gpu alone"))
        .collect()
}

/// A kernel does not know which norm it serves, in its comments neither: they would go stale with
/// the next norm. Names count in every spelling, `batch_norm`, `BatchNorm` or `batch norm`.
fn knows_its_norm(source: &str) -> Vec<String> {
    const KINDS: [&str; 7] = [
        "batch", "layer", "group", "instance", "rms", "weight", "spectral",
    ];
    const NORMS: [&str; 4] = ["norm", "norms", "normalization", "normalisation"];
    let mut found = Vec::new();
    for (number, line) in source.lines().enumerate() {
        let words = words(line);
        let written_apart = words
            .windows(2)
            .any(|pair| KINDS.contains(&pair[0].as_str()) && NORMS.contains(&pair[1].as_str()));
        let written_together = words.iter().any(|word| {
            NORMS.iter().any(|norm| {
                word.strip_suffix(norm)
                    .is_some_and(|kind| kind == "re" || KINDS.contains(&kind))
            })
        });
        let imports = line.contains("crate::norm") || line.contains("src/norm");
        if written_apart || written_together || imports {
            let line = line.trim();
            found.push(format!(
                "line {}: {line:?}: a kernel does not know which norm it serves",
                number + 1
            ));
        }
    }
    found
}

/// The words of a line in lower case: `BatchNorm1d` and `batch_norm` have two or more. Punctuation
/// stands between words as an empty one, so that it keeps them apart.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut previous = ' ';
    for c in line.chars() {
        let starts_word = c.is_uppercase() && previous.is_lowercase()
            || c.is_numeric() && previous.is_alphabetic();
        if starts_word || matches!(c, ' ' | '_' | '-') {
            words.push(String::new());
        } else if !c.is_alphanumeric() {
            words.extend([String::new(), "\n".into(), String::new()]);
        }
        if c.is_alphanumeric() {
            words.last_mut().unwrap().extend(c.to_lowercase());
        }
        previous = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// A norm leaves uniform blocks, geometries and workgroup counts to kernels and planner.
fn sees_a_launch(source: &str) -> Vec<String> {
    const HIDDEN: [&str; 4] = ["RowsParams", "ColumnsParams", "Geometry", "grid"];
    let tokens = tokens(source);
    let named = tokens.iter().filter(|token| {
        HIDDEN.contains(&token.text.as_str()) || token.text.to_lowercase().contains("workgroup")
    });
    // `groups` alone is a word of group norm.
    named
        .chain(find(&tokens, &["plan", ".", "groups"]))
        .map(|token| breach(token, "a norm sees no uniform block and no workgroup count"))
        .collect()
}

/// The oracle is independent: of this crate it knows `Shape`, and of others only std.
fn imports_more_than_shape(source: &str, is_root: bool) -> Vec<String> {
    let tokens = tokens(source);
    let text = |i: usize| tokens.get(i).map_or("", |token| token.text.as_str());
    let mut found = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        let path = text(i + 1) == ":" && text(i + 2) == ":";
        let lawful = match token.text.as_str() {
            "crate" if path => text(i + 3) == "Shape",
            // Above the root of the oracle lies the crate.
            "super" if path => !is_root && text(i + 3) != "super" && text(i + 3) != "*",
            "use" => {
                matches!(text(i + 1), "std" | "core" | "crate" | "super" | "self")
                    || find(&tokens, &["mod", text(i + 1)]).next().is_some()
            }
            "extern" => false,
            "wgnorm" => !path,
            _ => true,
        };
        if !lawful {
            found.push(breach(token, "the oracle knows only crate::Shape"));
        }
    }
    found
}

fn leaves_work_undone(source: &str) -> Vec<String> {
    tokens(source)
        .windows(2)
        .filter(|pair| matches!(pair[0].text.as_str(), "todo" | "unimplemented"))
        .filter(|pair| pair[1].text == "!")
        .map(|pair| breach(&pair[0], "nothing is left to be written"))
        .collect()
}

fn is_too_long(source: &str) -> Vec<String> {
    let lines = source.lines().count();
    let defect = format!("{lines} lines, more than {MAX_LINES}");
    (lines > MAX_LINES).then_some(defect).into_iter().collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files with these endings below a folder of the repository, which may be missing.
fn files(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if endings
                .iter()
                .any(|e| path.extension().is_some_and(|x| x == *e))
            {
                found.push(path);
            }
        }
    }
    found
}

/// Fails with every breach of a law in these files, of which there are some.
fn hold(files: &[PathBuf], law: impl Fn(&Path, &str) -> Vec<String>) {
    assert!(!files.is_empty(), "no files to look at");
    let mut found = Vec::new();
    for path in files {
        let name = path.strip_prefix(root()).unwrap();
        let source = fs::read_to_string(path).unwrap();
        found.extend(
            law(name, &source)
                .iter()
                .map(|b| format!("{}: {b}", name.display())),
        );
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn wgpu_is_spoken_to_under_src_gpu_alone() {
    let sources: Vec<PathBuf> = files("src", &["rs"])
        .into_iter()
        .filter(|path| !path.starts_with(root().join("src/gpu")))
        .collect();
    hold(&sources, |_, source| speaks_to_wgpu(source));

    let bad = "let d: wgpu::Device;\nuse wgpu as gpu;\npub use wgpu::Queue;";
    assert_eq!(speaks_to_wgpu(bad).len(), 3);
    let good = "pub use wgpu;\n// wgpu::Device\n/// [`wgpu::Queue`]\nlet s = \"wgpu::Buffer\";";
    assert_eq!(speaks_to_wgpu(good), [""; 0]);
}

#[test]
fn a_kernel_does_not_know_which_norm_it_serves() {
    let mut sources = files("shaders", &["wgsl"]);
    sources.extend(files("src/kernels", &["rs"]));
    hold(&sources, |_, source| knows_its_norm(source));

    for bad in [
        "fn batch_norm_rows(",
        "struct BatchNorm1d {",
        "// the moments of a batch norm",
        "/// as batch normalization does",
        "let layernorm = 1u;",
        "// RMS norm",
        "use crate::norm::batch;",
        "fn renorm() {",
        "const GROUP_NORM: u32 = 1u;",
    ] {
        assert_eq!(knows_its_norm(bad).len(), 1, "{bad}");
    }
    for good in [
        "// A kernel does not know which norm it serves.",
        "// Normalize by running_mean instead of the batch's statistics.",
        "// one workgroup per batch; normalization follows",
        "tracked: num_batches_tracked, normalize_rows",
    ] {
        assert_eq!(knows_its_norm(good), [""; 0], "{good}");
    }
}

#[test]
fn a_norm_sees_no_launch() {
    hold(&files("src/norm", &["rs"]), |_, source| {
        sees_a_launch(source)
    });

    for bad in [
        "use crate::kernels::params::RowsParams;",
        "let n = plan . groups;",
        "let n = plan.workgroup;",
        "const WORKGROUP_SIZE: u32 = 64;",
        "match plan.geometry { Geometry::Rows(_) => 1 }",
        "let [w, h] = plan.grid;",
    ] {
        assert_eq!(sees_a_launch(bad).len(), 1, "{bad}");
    }
    let good = "// one workgroup\nlet groups = options.groups;\nlet p = Plan::new(view);";
    assert_eq!(sees_a_launch(good), [""; 0]);
}

#[test]
fn the_oracle_knows_only_shape() {
    hold(&files("src/reference", &["rs"]), |path, source| {
        imports_more_than_shape(source, path.ends_with("mod.rs"))
    });

    for bad in [
        "use crate::{Shape, View};",
        "use crate::plan::Plan;",
        "let v = crate::View::channels(&shape, 1);",
        "use super::super::View;",
        "use super::*;",
        "use half::f16;",
        "mod batch;\nuse batches::Batch;",
        "use wgnorm::View;",
    ] {
        assert!(!imports_more_than_shape(bad, false).is_empty(), "{bad}");
    }
    assert_eq!(imports_more_than_shape("use super::View;", true).len(), 1);
    let good = "use std::iter;\nuse crate::Shape;\nuse super::moments;\nmod a;\nuse a::b;\n//! wgnorm::View";
    assert_eq!(imports_more_than_shape(good, false), [""; 0]);
}

#[test]
fn files_are_short_and_finished() {
    let mut sources = Vec::new();
    for folder in ["src", "shaders", "tests", "examples", "benches"] {
        sources.extend(files(folder, &["rs", "wgsl", "md", "py"]));
    }
    hold(&sources, |_, source| is_too_long(source));
    hold(&sources, |path, source| {
        let is_prose = path.extension().is_some_and(|ending| ending == "md");
        if is_prose {
            return Vec::new();
        }
        leaves_work_undone(source)
    });

    assert_eq!(is_too_long(&"\n".repeat(MAX_LINES)), [""; 0]);
    assert_eq!(is_too_long(&"\n".repeat(MAX_LINES + 1)).len(), 1);
    assert_eq!(leaves_work_undone("todo!();\nunimplemented ! ()").len(), 2);
    assert_eq!(
        leaves_work_undone("// todo!()\nlet s = \"todo!()\";"),
        [""; 0]
    );
}

#[test]
fn tokens_leave_out_comments_and_strings() {
    let source = "a /* b /* c */ d */ e // f\n'g' '\\'' 'h: \"i \\\" j\" r#\"k \" l\"# r#m \"n\" o";
    let texts: Vec<String> = tokens(source).into_iter().map(|token| token.text).collect();
    assert_eq!(
        texts,
        ["a", "e", "'", "h", ":", "\"", "\"", "#", "m", "\"", "o"]
    );
    let lines: Vec<usize> = tokens("a\n/*\n*/ b\n\"\n\" c")
        .iter()
        .map(|t| t.line)
        .collect();
    assert_eq!(lines, [1, 3, 4, 5]);
}
