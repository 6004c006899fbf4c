//! Whether anything became slower since an earlier run, by its ratio to a copy.

use std::path::Path;

use serde::Deserialize;

use super::{Report, Row, json, say};
use crate::Outcome;
use crate::suite::Dims;

/// An earlier run.
#[derive(Debug, Deserialize)]
pub(crate) struct Base {
    rows: Vec<BaseRow>,
}

/// As much of a row as is compared.
#[derive(Debug, Deserialize)]
pub(crate) struct BaseRow {
    op: String,
    #[serde(default = "none")]
    tail: String,
    #[serde(default = "whole")]
    way: String,
    shape: Vec<usize>,
    layout: String,
    dtype: String,
    strategy: String,
    ratio: f64,
}

/// Files from before there were tails do not name them.
fn none() -> String {
    "none".to_owned()
}

/// Nor those from before there were ways.
fn whole() -> String {
    "whole".to_owned()
}

pub(crate) fn read(path: &Path) -> Outcome<Base> {
    json::read(path)
}

impl Base {
    /// The row of the same operation; of several that differ in strategy the one with the same.
    fn beside(&self, row: &Row) -> Option<&BaseRow> {
        let same = |base: &&BaseRow| {
            (base.tail.as_str(), base.way.as_str()) == (row.tail, row.way)
                && (&base.op, &base.shape, &base.layout, &base.dtype)
                    == (&row.op, &row.shape, &row.layout, &row.dtype)
        };
        let mut rows = self.rows.iter().filter(same);
        let exact = rows.clone().find(|base| base.strategy == row.strategy);
        exact.or_else(|| rows.next())
    }
}

/// Whether `now` is more than the allowed fraction above `base`; what is no number is.
pub(crate) fn is_slower(now: f64, base: f64, allowed: f64) -> bool {
    now.is_nan() || now > base * (1.0 + allowed)
}

/// Prints both runs side by side. False if a ratio grew by more than is allowed, or if there is
/// nothing to compare, which would hide that.
pub(crate) fn print(base: &Base, report: &Report, allowed: Option<f64>) -> bool {
    let (mut compared, mut slower) = (0, 0);
    say("\nratio to copy, then and now");
    for row in &report.rows {
        let then = base.beside(row);
        let is_slower = match (then, allowed) {
            (Some(then), Some(allowed)) => is_slower(row.ratio, then.ratio, allowed),
            _ => false,
        };
        compared += usize::from(then.is_some());
        slower += usize::from(is_slower);
        let mark = if is_slower { "  SLOWER" } else { "" };
        say(line(row, then) + mark);
    }
    let Some(allowed) = allowed else {
        return true;
    };
    let percent = 100.0 * allowed;
    say(match compared {
        0 => "the two runs have no row in common".to_owned(),
        _ => format!("{slower} of {compared} above by more than {percent}%"),
    });
    compared > 0 && slower == 0
}

fn line(row: &Row, then: Option<&BaseRow>) -> String {
    let (shape, now) = (Dims(row.shape.clone()), row.ratio);
    let (layout, op) = (&row.layout, &row.op);
    let name = format!(
        "{shape:<14} {layout:<14} {op:<9} {:<13}",
        row.kind().unwrap_or("none")
    );
    let strategy = &row.strategy;
    let Some(then) = then else {
        return format!("{name}      new {now:>8.3} {:>9} {strategy}", "");
    };
    let change = 100.0 * (now / then.ratio - 1.0);
    let strategies = if then.strategy == *strategy {
        strategy.clone()
    } else {
        format!("{} -> {strategy}", then.strategy)
    };
    let then = then.ratio;
    format!("{name} {then:>8.3} {now:>8.3} {change:>+8.1}% {strategies}")
}
