//! The figures that the project is to reach, as the section "Speed" of its `targets.md` has them.

use crate::case::{Layout, Op};
use crate::report::{Report, Row};
use crate::way::Way;

/// Time by that of the copy, for one operation under one strategy.
struct Figure {
    op: Op,
    is_split: bool,
    /// On a software driver, for planes of an even size.
    even: f64,
    /// There, for planes of an odd size such as 7x7.
    odd: f64,
    gpu: f64,
}

const FIGURES: [Figure; 6] = [
    Figure::new(Op::Inference, true, [0.80, 0.95, 1.05]),
    Figure::new(Op::Inference, false, [0.80, 0.95, 1.05]),
    Figure::new(Op::Forward, false, [1.00, 1.25, 1.11]),
    Figure::new(Op::Forward, true, [1.30, 1.50, 1.66]),
    Figure::new(Op::Backward, false, [1.40, 1.75, 1.66]),
    Figure::new(Op::Backward, true, [2.10, 2.50, 2.77]),
];

/// Channels last by channels first, where both are split.
const LAST_BY_FIRST: f64 = 1.15;
/// The CPU time to record an operation into an open pass, on the tiny shape.
const RECORD_NS: u64 = 5000;
/// Chained operations by dependent dispatches that do nothing, on the tiny shape.
const CHAINED: f64 = 1.5;

impl Figure {
    const fn new(op: Op, is_split: bool, [even, odd, gpu]: [f64; 3]) -> Self {
        Self {
            op,
            is_split,
            even,
            odd,
            gpu,
        }
    }
}

/// Whether a strategy of that name takes two dispatches.
pub(crate) fn is_split(strategy: &str) -> bool {
    strategy.contains("split")
}

/// Whether a row is held against the figures of two dispatches: gains of single elements need both sums
/// along the rows and sums across them.
fn is_split_row(row: &Row) -> bool {
    let across = matches!(row.norm, "layer" | "rms") && row.op == Op::Backward.name();
    across || is_split(&row.strategy)
}

/// The figure for a row; none for the tiny shape, which has those of [`launch`] instead. With a tail it is
/// what the run allows by the operation without, and for other ways than the whole batch's there is none.
pub(crate) fn figure(row: &Row, is_cpu: bool) -> Option<f64> {
    if let Some(allowed) = row.allowed_ns {
        return Some(allowed as f64 / row.copy_ns.max(1) as f64);
    }
    if row.suite == "tiny" || row.way != Way::Whole.name() {
        return None;
    }
    let fits =
        |figure: &&Figure| figure.op.name() == row.op && figure.is_split == is_split_row(row);
    let figure = FIGURES.iter().find(fits)?;
    let plane = &row.shape[2..];
    let is_odd = !plane.is_empty() && plane.iter().all(|dim| dim % 2 == 1);
    Some(match (is_cpu, is_odd) {
        (false, _) => figure.gpu,
        (true, false) => figure.even,
        (true, true) => figure.odd,
    })
}

/// How the run stands to the figures, in lines.
pub(crate) fn summary(report: &Report) -> Vec<String> {
    let with: Vec<&Row> = report
        .rows
        .iter()
        .filter(|row| row.target.is_some())
        .collect();
    let missed: Vec<&&Row> = with.iter().filter(|row| !row.meets_target()).collect();
    let met = with.len() - missed.len();
    let mut lines = Vec::new();
    if !with.is_empty() {
        lines.push(format!("targets: {met} of {} rows meet theirs", with.len()));
    }
    lines.extend(missed.into_iter().map(|row| miss(row)));
    lines.extend(layouts(&report.rows));
    lines.extend(launch(report));
    lines
}

fn miss(row: &Row) -> String {
    let (name, ratio) = (row.name(), row.ratio);
    let target = row.target.unwrap_or(f64::NAN);
    // A probe that is slower than the operation is no excuse for it.
    let floor = match row.floor_ratio() {
        Some(floor) if floor > target && floor < ratio => format!("floor {floor:.2} above it"),
        Some(floor) => format!("floor {floor:.2}"),
        None => "no floor".to_owned(),
    };
    format!("  missed: {name} {ratio:.2}, target {target:.2}, {floor}")
}

/// Channels last against channels first, by their ratios to the copies beside them.
fn layouts(rows: &[Row]) -> Vec<String> {
    let of = |layout: Layout| {
        let fits = move |row: &&Row| {
            let is_plane = row.shape.len() > 2 && row.plain_ns.is_none();
            row.layout == layout.name() && is_split(&row.strategy) && is_plane
        };
        rows.iter().filter(fits)
    };
    let mut pairs = 0;
    let mut lines = Vec::new();
    for last in of(Layout::ChannelsLast) {
        let same = |first: &&Row| {
            (&first.suite, &first.op, &first.shape) == (&last.suite, &last.op, &last.shape)
        };
        let Some(first) = of(Layout::ChannelsFirst).find(same) else {
            continue;
        };
        pairs += 1;
        let times = last.ratio / first.ratio;
        if times > LAST_BY_FIRST {
            lines.push(format!("  missed: {} {times:.2}", last.name()));
        }
    }
    if pairs == 0 {
        return Vec::new();
    }
    let met = pairs - lines.len();
    let heading =
        format!("targets: {met} of {pairs} channels last within {LAST_BY_FIRST} of channels first");
    lines.insert(0, heading);
    lines
}

fn launch(report: &Report) -> Vec<String> {
    let Some(launch) = &report.launch else {
        return Vec::new();
    };
    let mut missed = Vec::new();
    for row in &launch.ops {
        if row.record_ns >= RECORD_NS {
            missed.push(format!(
                "  missed: recording {} takes {} ns",
                row.op, row.record_ns
            ));
        }
        if row.ratio >= CHAINED {
            missed.push(format!(
                "  missed: chained {} takes {:.2}",
                row.op, row.ratio
            ));
        }
    }
    let met = 2 * launch.ops.len() - missed.len();
    let mut lines = vec![format!(
        "targets: {met} of {} launch costs below {RECORD_NS} ns to record, {CHAINED} to chain",
        2 * launch.ops.len()
    )];
    lines.extend(missed);
    lines
}
