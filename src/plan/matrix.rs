//! How products of a matrix with vectors are cut: a pure function of view, class and limits. The WGSL
//! halves are shaders/lib/matrix.wgsl and the kernels `matrix_*`.
//!
//! The matrix W has a row for each slot of a view and a column for each element of one. The kernels see
//! it as \[outer\]\[rows\]\[inner\] too, with one choice: where slots lie side by side (inner = 1), rows
//! and columns trade places, so that a row is a run of memory again.

use super::tuning::{MAX_LANE_WORDS, Tuning, UNIT};
use super::windows::MAX_WINDOW;
use super::{Reduce, Word, bounded, fold};
use crate::gpu::{DeviceClass, Limits};
use crate::{Result, View};

/// A vector that a product makes, or its factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    /// One element for each row.
    Rows,
    /// One element for each column.
    Columns,
}

impl Side {
    /// The other one: a product with one vector gives the other.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Rows => Self::Columns,
            Self::Columns => Self::Rows,
        }
    }
}

/// One dispatch, and what its slices share out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Launch {
    pub(crate) groups: u32,
    pub(crate) grid: [u32; 2],
    pub(crate) total: u32,
    pub(crate) unit: u32,
    pub(crate) slices: u32,
}

/// Tiles of columns, for the product that walks down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tiles {
    pub(crate) count: u32,
    /// Lanes side by side, a power of two; the others take turns in the rows.
    pub(crate) lanes: u32,
    /// Words of a row for each lane.
    pub(crate) span: u32,
}

/// A run of f32 of the buffer that the dispatches share.
pub(crate) type Run = [u64; 2];

/// Where everything lies in that buffer; each run begins where a binding may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Runs {
    pub(crate) sigma: Run,
    pub(crate) row_vector: Run,
    pub(crate) column_vector: Run,
    pub(crate) row_sums: Run,
    pub(crate) column_sums: Run,
    pub(crate) partials: Run,
    pub(crate) len: u64,
}

/// The cut of one matrix, the same for every dispatch of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MatrixPlan {
    /// The word of what walks along rows and columns, and of what does not care.
    pub(crate) word: Word,
    pub(crate) flat_word: Word,
    pub(crate) reduce: Reduce,
    pub(crate) workgroup: u32,
    /// Which vector has an element for each slot of the view.
    pub(crate) slots: Side,
    pub(crate) rows: u32,
    /// Elements of a row, and those of them that lie side by side.
    pub(crate) columns: u32,
    pub(crate) inner: u32,
    pub(crate) tiles: Tiles,
    pub(crate) product_columns: Launch,
    pub(crate) product_rows: Launch,
    /// Which of these ways to walk is the better one where either will do.
    pub(crate) better: Side,
    pub(crate) merge_columns: Launch,
    pub(crate) merge_rows: Launch,
    /// For what sees the matrix as one run of words.
    pub(crate) flat: Launch,
    pub(crate) runs: Runs,
}

/// Rows that a workgroup walks along at once: `ROWS` of `shaders/lib/matrix_walk.wgsl`.
const QUAD: usize = 4;
/// Words in a row of the matrix that one lane may walk along, four rows at once, or down with up to
/// eight words in each row: a lane of lavapipe silently stops after 65,535 loop iterations in all, and
/// loops over a lane's words may count.
const MAX_LANE_STEPS: usize = 4096;
const MAX_LANE_ROWS: usize = 2048;
/// Iterations that a lane may spend on merging, for the same reason.
const MAX_LANE_MERGES: usize = 32_768;
/// Partial sums of one vector beyond which no device needs more workgroups to make them.
const MAX_SUMS: usize = 256;
/// Lanes of a GPU that lie side by side in a tile of columns: they read whole kilobytes, and enough
/// lanes are left to share the rows.
const GPU_TILE_LANES: usize = 64;
/// Words of a row for each lane of a software driver: it wants long runs, see [`Tuning::tile_words`].
const CPU_SPAN: usize = 8;
/// Elements in a run of a row that are too few to read along.
const SHORT_RUN: usize = 64;
/// Elements where a binding may begin.
const ALIGNMENT: u64 = super::windows::ALIGNMENT / 4;

/// The matrix as the kernels see it.
#[derive(Clone, Copy)]
struct Matrix {
    slots: Side,
    outer: usize,
    rows: usize,
    inner: usize,
}

impl Matrix {
    fn of(view: View) -> Self {
        let (slots, outer, rows, inner) = match view {
            // A single slot is one long row.
            View { count: 1, .. } => (Side::Rows, 1, 1, view.numel()),
            View { inner: 1, .. } => (Side::Columns, 1, view.outer, view.count),
            _ => (Side::Rows, view.outer, view.count, view.inner),
        };
        Self {
            slots,
            outer,
            rows,
            inner,
        }
    }

    fn columns(&self) -> usize {
        self.outer * self.inner
    }

    /// Rows of short runs are better read down than along: their cache lines hold other rows too.
    fn better_walk(&self) -> Side {
        if self.outer > 1 && self.inner < SHORT_RUN {
            Side::Columns
        } else {
            Side::Rows
        }
    }
}

/// What the cut depends on beside the matrix.
struct Cutter<'a> {
    tuning: &'a Tuning,
    max_groups: u32,
}

impl Cutter<'_> {
    fn lanes(&self) -> usize {
        self.tuning.workgroup as usize
    }

    /// `slices` of `total`, for each of `parts` parts of the grid.
    fn launch(&self, parts: usize, total: usize, unit: usize, slices: usize) -> Result<Launch> {
        let slices = slices.clamp(1, total.div_ceil(unit));
        let groups = (parts as u64).saturating_mul(slices as u64);
        Ok(Launch {
            groups: bounded("workgroups", groups, u32::MAX.into())?,
            grid: fold(groups, self.max_groups)?,
            total: total as u32,
            unit: unit as u32,
            slices: slices as u32,
        })
    }

    fn tiles(&self, columns: usize) -> Tiles {
        let fits = columns.next_power_of_two().min(self.lanes());
        let lanes = match self.tuning.class {
            DeviceClass::Gpu => fits.min(GPU_TILE_LANES),
            DeviceClass::Cpu => fits,
        };
        let most = spans(self.tuning.class) as usize;
        let span = columns.div_ceil(lanes).min(most);
        Tiles {
            count: columns.div_ceil(lanes * span) as u32,
            lanes: lanes as u32,
            span: span as u32,
        }
    }

    /// The product that walks down `rows` rows.
    fn down(&self, tiles: Tiles, rows: usize) -> Result<Launch> {
        let parts = tiles.count as usize;
        let (lanes, span) = (tiles.lanes as usize, tiles.span as usize);
        let least = rows.div_ceil(self.lanes() / lanes * MAX_LANE_ROWS);
        let wanted = self.tuning.slices(parts, rows * lanes * span);
        self.launch(parts, rows, 1, wanted.max(least))
    }

    /// The product that walks along rows of `words` words.
    fn along(&self, rows: usize, words: usize) -> Result<Launch> {
        let parts = rows.div_ceil(QUAD);
        let least = words.div_ceil(self.lanes() * MAX_LANE_STEPS);
        let wanted = self.tuning.slices(parts, words * QUAD.min(rows));
        self.launch(parts, words, UNIT, wanted.max(least))
    }

    /// The merge of so many partials of each of `words` words.
    fn merge(&self, words: usize, partials: u32) -> Result<Launch> {
        let partials = partials as usize;
        let iterations = partials / 4 + partials / 32 + 3;
        let most = (MAX_LANE_MERGES / iterations).max(1);
        let least = words.div_ceil(self.lanes() * most);
        let wanted = self.tuning.slices(1, words * partials).min(MAX_SUMS);
        let useful = words.div_ceil(self.lanes());
        self.launch(1, words, 1, wanted.min(useful).max(least))
    }

    /// What walks over all words, and sees to elements of the vectors.
    fn flat(&self, words: usize, vectors: usize) -> Result<Launch> {
        let all = self.lanes() * MAX_LANE_WORDS;
        let least = words.div_ceil(all).max(vectors.div_ceil(all));
        let wanted = self.tuning.slices(1, words);
        let unit = UNIT.min(words.div_ceil(wanted.max(least)));
        self.launch(1, words, unit, wanted.max(least))
    }
}

impl Runs {
    fn new(plan: [u64; 2], sums: [u32; 2], partials: u64) -> Self {
        let mut len = 0;
        let mut run = |elements: u64| {
            let first = len;
            len += elements.next_multiple_of(ALIGNMENT);
            [first, elements]
        };
        let ([rows, columns], [row_sums, column_sums]) = (plan, sums.map(u64::from));
        Self {
            sigma: run(1),
            row_vector: run(rows),
            column_vector: run(columns),
            row_sums: run(row_sums),
            column_sums: run(column_sums),
            partials: run(partials),
            len,
        }
    }

    /// The sums of both vectors, with what lies between.
    pub(crate) fn sums(&self) -> Run {
        let [first, _] = self.row_sums;
        let [last, len] = self.column_sums;
        [first, last + len - first]
    }

    /// Where the second ones begin among them.
    pub(crate) fn column_sums_at(&self) -> u32 {
        (self.column_sums[0] - self.row_sums[0]) as u32
    }
}

/// The wide words of each class of device.
pub(crate) const WORDS: [(DeviceClass, Word); 3] = [
    (DeviceClass::Gpu, Word::F32x4),
    (DeviceClass::Cpu, Word::F32x4),
    (DeviceClass::Cpu, Word::U64x2),
];

/// The most words of a row for each lane.
pub(crate) fn spans(class: DeviceClass) -> u32 {
    match class {
        DeviceClass::Gpu => 1,
        DeviceClass::Cpu => CPU_SPAN as u32,
    }
}

/// The widest word that runs of so many elements consist of.
fn word_of(elements: usize, class: DeviceClass, limits: &Limits) -> Word {
    if !elements.is_multiple_of(Word::F32x4.width()) {
        return Word::F32;
    }
    match class {
        DeviceClass::Cpu if limits.int64 => Word::U64x2,
        _ => Word::F32x4,
    }
}

impl MatrixPlan {
    /// Plans for a view with at least one element, which has to fit one binding.
    pub(crate) fn new(view: View, class: Option<DeviceClass>, limits: &Limits) -> Result<Self> {
        let name = "bytes of a matrix, which has to fit one binding";
        let bytes = (view.numel() as u64).saturating_mul(4);
        bounded(name, bytes, limits.max_binding_bytes.min(4 * MAX_WINDOW))?;
        let class = class.unwrap_or(limits.class);
        let tuning = Tuning::of(class);
        let cutter = Cutter {
            tuning: &tuning,
            max_groups: limits.max_groups,
        };
        let matrix = Matrix::of(view);
        let [word, flat_word] =
            [matrix.inner, view.numel()].map(|elements| word_of(elements, class, limits));
        let (rows, columns) = (matrix.rows, matrix.columns());
        let words = columns / word.width();
        let tiles = cutter.tiles(words);
        let product_columns = cutter.down(tiles, rows)?;
        let product_rows = cutter.along(rows, words)?;
        let merge_columns = cutter.merge(words, product_columns.slices)?;
        let merge_rows = cutter.merge(rows, product_rows.slices)?;
        let flat = cutter.flat(view.numel() / flat_word.width(), rows.max(columns))?;
        let partials = (columns as u64 * u64::from(product_columns.slices))
            .max(rows as u64 * u64::from(product_rows.slices))
            .max(flat.slices.into());
        let sums = [merge_rows.slices, merge_columns.slices];
        let runs = Runs::new([rows, columns].map(|n| n as u64), sums, partials);
        let name = "bytes of partial products";
        bounded(name, 4 * partials, limits.max_binding_bytes)?;
        Ok(Self {
            word,
            flat_word,
            reduce: Reduce::of(limits, tuning.workgroup),
            workgroup: tuning.workgroup,
            slots: matrix.slots,
            rows: rows as u32,
            columns: columns as u32,
            inner: matrix.inner as u32,
            tiles,
            product_columns,
            product_rows,
            better: matrix.better_walk(),
            merge_columns,
            merge_rows,
            flat,
            runs,
        })
    }

    /// The dispatch that makes partial products of that side, and the one that merges them.
    pub(crate) fn product(&self, side: Side) -> Launch {
        match side {
            Side::Rows => self.product_rows,
            Side::Columns => self.product_columns,
        }
    }

    pub(crate) fn merge(&self, side: Side) -> Launch {
        match side {
            Side::Rows => self.merge_rows,
            Side::Columns => self.merge_columns,
        }
    }
}

#[cfg(test)]
mod tests;
