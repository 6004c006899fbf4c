//! The results for other programs.

use std::fs;
use std::path::Path;

use super::{Report, say};
use crate::Outcome;

pub(crate) fn write(path: &Path, report: &Report) -> Outcome {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    say(format_args!("wrote {}", path.display()));
    Ok(())
}

/// Reads a file of this format, or of as much of it as `T` wants.
pub(crate) fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Outcome<T> {
    let told = |error: String| format!("{}: {error}", path.display());
    let text = fs::read_to_string(path).map_err(|error| told(error.to_string()))?;
    Ok(serde_json::from_str(&text).map_err(|error| told(error.to_string()))?)
}
