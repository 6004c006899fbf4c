//! How the values around each batch norm are spread, in the first batch and in the last.

use std::path::Path;

use ndarray::Array2;
use plotters::prelude::{Color, RGBColor, Rectangle};

use crate::common::drawing::{
    Axis, Canvas, HEAT, Outcome, canvas, chart, density, legend, line, outline, plain,
};
use crate::experiment::Run;

const BINS: usize = 50;
const FIRST: RGBColor = RGBColor(150, 150, 150);
const LAST: RGBColor = HEAT[1];

pub(super) fn draw(path: &Path, run: &Run) -> Outcome {
    let heading = format!("Activations before and after batch norm, {}", run.optimizer);
    let (root, body) = canvas(path, (1180, 860), &heading)?;
    let (charts, side) = body.split_horizontally(1030);
    let charts = charts.split_evenly((2, 2));
    // The last layer gives the answer and has no batch norm.
    let hidden = run.first.len() - 1;
    for (layer, (first, last)) in run.first.iter().zip(&run.last).take(hidden).enumerate() {
        let title = format!("hidden layer {}, before", layer + 1);
        panel(&charts[2 * layer], &title, &first.dense, &last.dense)?;
        let title = format!("hidden layer {}, after", layer + 1);
        panel(&charts[2 * layer + 1], &title, &first.gated, &last.gated)?;
    }
    let entries = [("first".to_owned(), FIRST), ("last".to_owned(), LAST)];
    legend(&side, "training batch", &entries)?;
    root.present()?;
    Ok(())
}

fn panel(area: &Canvas, title: &str, first: &Array2<f32>, last: &Array2<f32>) -> Outcome {
    let largest = |x: &Array2<f32>| x.fold(0.0_f32, |most, x| most.max(x.abs()));
    // Round numbers at the ends, and zero in the middle.
    let reach = f64::from(largest(first).max(largest(last))).ceil();
    let bars = |x: &Array2<f32>| density(x.iter().copied(), -reach..reach, BINS);
    let (first, last) = (bars(first), bars(last));
    let top = first
        .iter()
        .chain(&last)
        .fold(0.0, |most: f64, bar| most.max(bar.1));
    let width = 2.0 * reach / BINS as f64;
    let x = Axis {
        label: "value",
        range: -reach..reach,
        values: 9,
        format: plain,
    };
    let y = Axis {
        label: "density",
        range: 0.0..1.05 * top,
        values: 6,
        format: plain,
    };
    let mut chart = chart(area, title, &x, &y)?;
    for (bars, color) in [(first, FIRST), (last, LAST)] {
        chart.draw_series(bars.iter().map(|&(x, height)| {
            Rectangle::new([(x, 0.0), (x + width, height)], color.mix(0.45).filled())
        }))?;
        line(&mut chart, &outline(&bars, width), color)?;
    }
    Ok(())
}
