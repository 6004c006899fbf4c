//! Another program's times on the same operations.

use std::path::Path;

use serde::Deserialize;

use super::{Row, json};
use crate::Outcome;

/// The program, and what it took.
#[derive(Debug, Deserialize)]
pub(crate) struct Peer {
    #[serde(default, rename = "program", alias = "peer")]
    pub(crate) name: String,
    rows: Vec<PeerRow>,
}

/// As much of a row as a peer has to tell.
#[derive(Debug, Deserialize)]
struct PeerRow {
    op: String,
    shape: Vec<usize>,
    #[serde(default = "channels_first")]
    layout: String,
    wall_ns: f64,
}

fn channels_first() -> String {
    "channels_first".to_owned()
}

/// Reads a peer's file; one without a name goes by that of the file.
pub(crate) fn read(path: &Path) -> Outcome<Peer> {
    let mut peer: Peer = json::read(path)?;
    if peer.name.is_empty() {
        let stem = path.file_stem().unwrap_or_default();
        peer.name = stem.to_string_lossy().into_owned();
    }
    Ok(peer)
}

impl Peer {
    /// The peer's wall time for that row, and how many times ours it is.
    pub(crate) fn beside(&self, row: &Row) -> Option<(f64, f64)> {
        let theirs = self.rows.iter().find(|theirs| {
            let same = (&theirs.op, &theirs.shape, &theirs.layout);
            row.kind().is_none() && same == (&row.op, &row.shape, &row.layout)
        })?;
        Some((theirs.wall_ns, theirs.wall_ns / row.wall_ns.max(1) as f64))
    }
}
