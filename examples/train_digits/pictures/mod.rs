//! The pictures of the training, as SVG files.

mod activations;
mod gradients;
mod loss;

use std::error::Error;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use plotters::prelude::{Color, Cross, RGBColor};

use crate::common::drawing::{Axis, Canvas, Chart, Outcome, chart, line, plain, power_of_ten};
use crate::experiment::EPOCHS;
use crate::report::Results;

/// Draws everything into `folder` and says where.
pub(crate) fn draw_all(folder: &Path, results: &Results) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    let names = ["loss_curves.svg", "activations.svg", "gradients.svg"];
    let paths = names.map(|name| folder.join(name));
    loss::draw(&paths[0], results)?;
    activations::draw(&paths[1], results.best()?)?;
    gradients::draw(&paths[2], results)?;
    Ok(paths.into())
}

/// A chart over the epochs; its upright axis is logarithmic and reaches over `decades`, the
/// exponents of ten.
fn epoch_chart<'a>(
    area: &Canvas<'a>,
    title: &str,
    label: &str,
    decades: Range<i32>,
) -> Result<Chart<'a>, Box<dyn Error>> {
    let (bottom, top) = ends(&decades);
    let x = Axis {
        label: "epoch",
        range: 1.0..EPOCHS as f64,
        values: 10,
        format: plain,
    };
    let y = Axis {
        label,
        range: bottom..top,
        values: decades.len() + 1,
        format: power_of_ten,
    };
    chart(area, title, &x, &y)
}

fn ends(decades: &Range<i32>) -> (f64, f64) {
    (decades.start.into(), decades.end.into())
}

/// A line over the epochs. It is held within `decades`, and ends in a cross where the values stop
/// being numbers.
fn epoch_line(
    chart: &mut Chart,
    decades: &Range<i32>,
    values: impl Iterator<Item = f32>,
    color: RGBColor,
) -> Outcome {
    let (bottom, top) = ends(decades);
    let values: Vec<f32> = values.collect();
    let numbers = values.iter().take_while(|value| value.is_finite());
    let exponents = numbers.map(|&value| f64::from(value).log10().clamp(bottom, top));
    let points: Vec<(f64, f64)> = (1..).map(f64::from).zip(exponents).collect();
    let end = points.last().copied().unwrap_or((1.0, top));
    let diverged = points.len() < values.len();
    line(chart, &points, color)?;
    if diverged {
        chart.draw_series([Cross::new(end, 6, color.stroke_width(3))])?;
    }
    Ok(())
}
