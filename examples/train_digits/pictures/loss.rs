//! The training loss over the epochs, one line per learning rate.

use std::ops::Range;
use std::path::Path;

use super::{epoch_chart, epoch_line};
use crate::common::drawing::{HEAT, Outcome, canvas, legend};
use crate::common::optimizer::Method;
use crate::experiment::Run;
use crate::report::Results;

const DECADES: Range<i32> = -3..1;

pub(super) fn draw(path: &Path, results: &Results) -> Outcome {
    let (root, body) = canvas(path, (1180, 860), "Training loss")?;
    let (charts, legends) = body.split_horizontally(1030);
    let charts = charts.split_evenly((2, 2));
    let legends = legends.split_evenly((2, 1));
    for (row, method) in [Method::Sgd, Method::Adam].into_iter().enumerate() {
        let columns = [("without", &results.without), ("with", &results.with)];
        for (column, (word, runs)) in columns.into_iter().enumerate() {
            let title = format!("{method}, {word} batch norm{}", failures(runs, method));
            let area = &charts[2 * row + column];
            let mut chart = epoch_chart(area, &title, "cross entropy", DECADES)?;
            for (run, color) in of_method(runs, method).zip(HEAT) {
                let losses = run.epochs.iter().map(|epoch| epoch.loss);
                epoch_line(&mut chart, &DECADES, losses, color)?;
            }
        }
        let rates = of_method(&results.with, method).map(|run| run.optimizer.rate.to_string());
        legend(
            &legends[row],
            "learning rate",
            &rates.zip(HEAT).collect::<Vec<_>>(),
        )?;
    }
    root.present()?;
    Ok(())
}

fn of_method<'a>(runs: &'a [Run<'a>], method: Method) -> impl Iterator<Item = &'a Run<'a>> {
    runs.iter()
        .filter(move |run| run.optimizer.method == method)
}

/// Which rates end below the goal. Their lines tend to lie on one another, at the loss of guessing.
fn failures(runs: &[Run], method: Method) -> String {
    let failed = of_method(runs, method).filter(|run| !run.ends_above_goal());
    let rates: Vec<String> = failed.map(|run| run.optimizer.rate.to_string()).collect();
    if rates.is_empty() {
        String::new()
    } else {
        format!(" (fails at {})", rates.join(", "))
    }
}
