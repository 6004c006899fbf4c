//! Whether anything became slower since an earlier run, by its ratio to a copy.

use std::path::Path;

use serde::Deserialize;

use super::{Report, Row, json};
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
    shape: Vec<usize>,
    layout: String,
    dtype: String,
    strategy: String,
    ratio: f64,
}

pub(crate) fn read(path: &Path) -> Outcome<Base> {
    json::read(path)
}

impl Base {
    /// The row of the same operation; of several that differ in strategy the one with the same.
    fn beside(&self, row: &Row) -> Option<&BaseRow> {
        let same = |base: &&BaseRow| {
            (&base.op, &base.shape, &base.layout, &base.dtype)
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
    println!("\nratio to copy, then and now");
    for row in &report.rows {
        let shape = Dims(row.shape.clone());
        let (layout, op) = (&row.layout, &row.op);
        let name = format!("{shape:<14} {layout:<14} {op:<9}");
        let Some(then) = base.beside(row) else {
            println!(
                "{name}      new {:>8.3}           {}",
                row.ratio, row.strategy
            );
            continue;
        };
        compared += 1;
        let change = 100.0 * (row.ratio / then.ratio - 1.0);
        let is_slower = allowed.is_some_and(|allowed| is_slower(row.ratio, then.ratio, allowed));
        slower += usize::from(is_slower);
        let strategies = if then.strategy == row.strategy {
            row.strategy.clone()
        } else {
            format!("{} -> {}", then.strategy, row.strategy)
        };
        let mark = if is_slower { "  SLOWER" } else { "" };
        println!(
            "{name} {:>8.3} {:>8.3} {change:>+8.1}% {strategies}{mark}",
            then.ratio, row.ratio
        );
    }
    match allowed {
        Some(_) if compared == 0 => println!("the two runs have no row in common"),
        Some(allowed) => println!(
            "{slower} of {compared} above by more than {}%",
            100.0 * allowed
        ),
        None => {}
    }
    allowed.is_none() || compared > 0 && slower == 0
}
