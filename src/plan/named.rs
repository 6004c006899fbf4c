//! What a plan is called, in tables and in a benchmark's file.

use super::{Geometry, Pass, Plan, Strategy};

impl Plan {
    /// The strategy with its geometry, for a pass that was planned.
    pub(crate) fn name(&self, pass: Pass) -> &'static str {
        let columns = match self.cuts.first().map(|cut| cut.geometry) {
            Some(Geometry::Columns(_)) => 1,
            _ => 0,
        };
        let names = match (pass, self.strategy) {
            (Pass::Flat, _) => ["flat_rows", "flat_columns"],
            (_, Strategy::Resident) => ["resident_rows", "resident_columns"],
            _ => ["split_rows", "split_columns"],
        };
        names[columns]
    }
}
