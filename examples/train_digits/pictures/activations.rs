//! How the values around each batch norm are spread, in the first batch and in the last.

use std::ops::Range;
use std::path::Path;

use ndarray::Array2;
use plotters::prelude::{ChartBuilder, Color, LineSeries, RGBColor, Rectangle, WHITE};

use super::{Canvas, GRID, HEAT, INK, Outcome, bold, canvas, font, legend};
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
        panel(
            &charts[2 * layer + 1],
            &title,
            &first.normalized,
            &last.normalized,
        )?;
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
    let bars = |x| density(x, -reach..reach);
    let (first, last) = (bars(first), bars(last));
    let top = first
        .iter()
        .chain(&last)
        .fold(0.0, |most: f64, bar| most.max(bar.1));
    let width = 2.0 * reach / BINS as f64;
    let mut chart = ChartBuilder::on(area)
        .caption(title, bold(19))
        .margin(10)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d(-reach..reach, 0.0..1.05 * top)?;
    chart
        .configure_mesh()
        .x_labels(9)
        .y_labels(6)
        .x_desc("value")
        .y_desc("density")
        .label_style(font(16))
        .axis_desc_style(font(17))
        .axis_style(INK)
        .bold_line_style(GRID)
        .light_line_style(WHITE)
        .draw()?;
    for (bars, color) in [(first, FIRST), (last, LAST)] {
        chart.draw_series(bars.iter().map(|&(x, height)| {
            Rectangle::new([(x, 0.0), (x + width, height)], color.mix(0.45).filled())
        }))?;
        let outline = bars
            .iter()
            .flat_map(|&(x, height)| [(x, height), (x + width, height)]);
        chart.draw_series(LineSeries::new(outline, color.stroke_width(2)))?;
    }
    Ok(())
}

/// The left end and the height of each bar; the areas of all bars add up to one.
fn density(values: &Array2<f32>, range: Range<f64>) -> Vec<(f64, f64)> {
    let width = (range.end - range.start) / BINS as f64;
    let mut bars: Vec<(f64, f64)> = (0..BINS)
        .map(|bin| (range.start + bin as f64 * width, 0.0))
        .collect();
    let share = 1.0 / (values.len() as f64 * width);
    for &value in values {
        let after = bars.partition_point(|bar| bar.0 <= f64::from(value));
        bars[after.saturating_sub(1)].1 += share;
    }
    bars
}
