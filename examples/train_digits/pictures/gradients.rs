//! The size of the weight gradients over the epochs, one line per layer.

use std::ops::Range;
use std::path::Path;

use plotters::prelude::RGBColor;

use super::{epoch_chart, epoch_line};
use crate::common::drawing::{HEAT, Outcome, canvas, legend};
use crate::common::optimizer::Method;
use crate::experiment::Run;
use crate::report::Results;

const DECADES: Range<i32> = -6..1;

pub(super) fn draw(path: &Path, results: &Results) -> Outcome {
    let (root, body) = canvas(
        path,
        (1220, 860),
        "Weight gradients, root mean square per layer",
    )?;
    let (charts, side) = body.split_horizontally(1030);
    let charts = charts.split_evenly((2, 2));
    let layers = ["1: 64 to 100", "2: 100 to 50", "3: 50 to 10"];
    let colors = [HEAT[0], HEAT[2], HEAT[4]];
    for (row, index) in rows(results).into_iter().enumerate() {
        let columns = [("without", &results.without), ("with", &results.with)];
        for (column, (word, runs)) in columns.into_iter().enumerate() {
            let run = &runs[index];
            let title = format!("{}, {word} batch norm", run.optimizer);
            let area = &charts[2 * row + column];
            let mut chart = epoch_chart(area, &title, "size of the gradient", DECADES)?;
            for (layer, color) in colors.into_iter().enumerate() {
                let sizes = run.epochs.iter().map(|epoch| epoch.gradients[layer]);
                epoch_line(&mut chart, &DECADES, sizes, color)?;
            }
        }
    }
    let entries: Vec<(String, RGBColor)> =
        layers.map(String::from).into_iter().zip(colors).collect();
    legend(&side, "dense layer", &entries)?;
    root.present()?;
    Ok(())
}

/// The largest SGD rate that works without batch norm, and the next, which needs it.
fn rows(results: &Results) -> [usize; 2] {
    let usable = |run: &Run| run.optimizer.method == Method::Sgd && run.ends_above_goal();
    let index = results.without.iter().rposition(usable).unwrap_or(0);
    [index, index + 1]
}
