//! What a plan is called.

use super::{Geometry, Plan, Strategy};

impl Plan {
    /// The strategy that the plan follows.
    pub(crate) fn strategy(&self) -> Strategy {
        match self.geometry {
            Geometry::Rows(_) => Strategy::SplitRows,
            Geometry::Columns(_) => Strategy::SplitColumns,
        }
    }
}
