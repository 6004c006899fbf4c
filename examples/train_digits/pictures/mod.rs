//! The pictures of the training, as SVG files.

mod activations;
mod gradients;
mod loss;

use std::error::Error;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{
    Cartesian2d, ChartBuilder, ChartContext, Color, Cross, DrawingArea, IntoDrawingArea, IntoFont,
    LineSeries, PathElement, RGBColor, SVGBackend, Text, WHITE,
};
use plotters::style::{FontStyle, TextStyle};

use crate::experiment::EPOCHS;
use crate::report::Results;

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Outcome = Result<(), Box<dyn Error>>;

const INK: RGBColor = RGBColor(40, 40, 40);
const GRID: RGBColor = RGBColor(225, 225, 225);

/// From calm to hot, for learning rates from small to large. All can be told from white.
const HEAT: [RGBColor; 6] = [
    RGBColor(49, 54, 149),
    RGBColor(43, 131, 186),
    RGBColor(26, 150, 65),
    RGBColor(218, 165, 0),
    RGBColor(240, 100, 20),
    RGBColor(165, 0, 38),
];

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

/// A white picture with a heading, and the space below it.
fn canvas<'a>(
    path: &'a Path,
    size: (u32, u32),
    heading: &str,
) -> Result<(Canvas<'a>, Canvas<'a>), Box<dyn Error>> {
    let root = SVGBackend::new(path, size).into_drawing_area();
    root.fill(&WHITE)?;
    let (top, below) = root.split_vertically(44);
    top.draw(&Text::new(heading.to_owned(), (20, 16), bold(24)))?;
    Ok((root, below))
}

fn font(size: i32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

fn bold(size: i32) -> TextStyle<'static> {
    let font = ("sans-serif", size).into_font();
    font.style(FontStyle::Bold).color(&INK)
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
    let mut chart = ChartBuilder::on(area)
        .caption(title, bold(19))
        .margin(10)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d(1.0..EPOCHS as f64, bottom..top)?;
    chart
        .configure_mesh()
        .x_labels(10)
        .y_labels(decades.len() + 1)
        .x_label_formatter(&|epoch| format!("{epoch:.0}"))
        .y_label_formatter(&|exponent| power_of_ten(*exponent))
        .x_desc("epoch")
        .y_desc(label)
        .label_style(font(16))
        .axis_desc_style(font(17))
        .axis_style(INK)
        .bold_line_style(GRID)
        .light_line_style(WHITE)
        .draw()?;
    Ok(chart)
}

fn ends(decades: &Range<i32>) -> (f64, f64) {
    (decades.start.into(), decades.end.into())
}

fn power_of_ten(exponent: f64) -> String {
    let value = 10_f64.powi(exponent.round() as i32);
    if value < 1e-3 {
        format!("{value:e}")
    } else {
        format!("{value}")
    }
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
    let line: Vec<(f64, f64)> = (1..).map(f64::from).zip(exponents).collect();
    let end = line.last().copied().unwrap_or((1.0, top));
    let diverged = line.len() < values.len();
    chart.draw_series(LineSeries::new(line, color.stroke_width(2)))?;
    if diverged {
        chart.draw_series([Cross::new(end, 6, color.stroke_width(3))])?;
    }
    Ok(())
}

/// The meaning of the colours, one below the other.
fn legend(area: &Canvas, title: &str, entries: &[(String, RGBColor)]) -> Outcome {
    area.draw(&Text::new(title.to_owned(), (4, 44), bold(17)))?;
    for (y, (name, color)) in (72..).step_by(26).zip(entries) {
        let sample = vec![(4, y + 7), (34, y + 7)];
        area.draw(&PathElement::new(sample, color.stroke_width(4)))?;
        area.draw(&Text::new(name.clone(), (44, y), font(17)))?;
    }
    Ok(())
}
