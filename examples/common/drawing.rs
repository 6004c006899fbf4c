//! Charts as SVG files.

use std::error::Error;
use std::ops::Range;
use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{
    Cartesian2d, ChartBuilder, ChartContext, Circle, Color, DrawingArea, IntoDrawingArea, IntoFont,
    LineSeries, PathElement, RGBColor, SVGBackend, Text, WHITE,
};
use plotters::style::{FontStyle, TextStyle};

pub(crate) type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(crate) type Chart<'a> =
    ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
pub(crate) type Outcome = Result<(), Box<dyn Error>>;

const INK: RGBColor = RGBColor(40, 40, 40);
const GRID: RGBColor = RGBColor(225, 225, 225);

/// From calm to hot, for values from small to large. All can be told from white.
pub(crate) const HEAT: [RGBColor; 6] = [
    RGBColor(49, 54, 149),
    RGBColor(43, 131, 186),
    RGBColor(26, 150, 65),
    RGBColor(218, 165, 0),
    RGBColor(240, 100, 20),
    RGBColor(165, 0, 38),
];

/// A white picture with a heading, and the space below it.
pub(crate) fn canvas<'a>(
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

/// One axis of a chart.
pub(crate) struct Axis<'a> {
    pub(crate) label: &'a str,
    pub(crate) range: Range<f64>,
    /// About how many values are written beside it.
    pub(crate) values: usize,
    /// How they are written.
    pub(crate) format: fn(f64) -> String,
}

/// A chart without anything in it yet.
pub(crate) fn chart<'a>(
    area: &Canvas<'a>,
    title: &str,
    x: &Axis,
    y: &Axis,
) -> Result<Chart<'a>, Box<dyn Error>> {
    let mut chart = ChartBuilder::on(area)
        .caption(title, bold(19))
        .margin(10)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d(x.range.clone(), y.range.clone())?;
    chart
        .configure_mesh()
        .x_labels(x.values)
        .y_labels(y.values)
        .x_label_formatter(&|value| (x.format)(*value))
        .y_label_formatter(&|value| (y.format)(*value))
        .x_desc(x.label)
        .y_desc(y.label)
        .label_style(font(16))
        .axis_desc_style(font(17))
        .axis_style(INK)
        .bold_line_style(GRID)
        .light_line_style(WHITE)
        .draw()?;
    Ok(chart)
}

/// A value of an axis as it is.
pub(crate) fn plain(value: f64) -> String {
    format!("{}", (1e6 * value).round() / 1e6)
}

/// The value that an exponent of ten on a logarithmic axis stands for.
pub(crate) fn power_of_ten(exponent: f64) -> String {
    let value = 10_f64.powi(exponent.round() as i32);
    if value < 1e-3 {
        format!("{value:e}")
    } else {
        format!("{value}")
    }
}

/// The value that an exponent of two on a logarithmic axis stands for.
pub(crate) fn power_of_two(exponent: f64) -> String {
    plain(exponent.exp2())
}

pub(crate) fn line(chart: &mut Chart, points: &[(f64, f64)], color: RGBColor) -> Outcome {
    chart.draw_series(LineSeries::new(
        points.iter().copied(),
        color.stroke_width(2),
    ))?;
    Ok(())
}

/// A line through points (x, y) that are each known to within a spread. What the chart has no room
/// for is drawn at its edge.
pub(crate) fn measured_line(
    chart: &mut Chart,
    points: &[(f64, f64, f64)],
    color: RGBColor,
) -> Outcome {
    let range = chart.plotting_area().get_y_range();
    let held = |y: f64| y.clamp(range.start, range.end);
    let middle: Vec<(f64, f64)> = points.iter().map(|&(x, y, _)| (x, held(y))).collect();
    line(chart, &middle, color)?;
    chart.draw_series(
        middle
            .iter()
            .map(|&point| Circle::new(point, 4, color.filled())),
    )?;
    chart.draw_series(points.iter().map(|&(x, y, spread)| {
        let bar = vec![(x, held(y - spread)), (x, held(y + spread))];
        PathElement::new(bar, color.stroke_width(1))
    }))?;
    Ok(())
}

/// The left end and the height of each bar; the areas of all bars add up to one. What lies outside
/// the range counts for the bars at its ends.
pub(crate) fn density(
    values: impl ExactSizeIterator<Item = f32>,
    range: Range<f64>,
    bins: usize,
) -> Vec<(f64, f64)> {
    let width = (range.end - range.start) / bins as f64;
    let mut bars: Vec<(f64, f64)> = (0..bins)
        .map(|bin| (range.start + bin as f64 * width, 0.0))
        .collect();
    let share = 1.0 / (values.len() as f64 * width);
    for value in values {
        let after = bars.partition_point(|bar| bar.0 <= f64::from(value));
        bars[after.saturating_sub(1)].1 += share;
    }
    bars
}

/// The upper edge of the bars.
pub(crate) fn outline(bars: &[(f64, f64)], width: f64) -> Vec<(f64, f64)> {
    let edges = bars.iter();
    edges
        .flat_map(|&(x, height)| [(x, height), (x + width, height)])
        .collect()
}

/// The meaning of the colours, one below the other.
pub(crate) fn legend(area: &Canvas, title: &str, entries: &[(String, RGBColor)]) -> Outcome {
    area.draw(&Text::new(title.to_owned(), (4, 44), bold(17)))?;
    for (y, (name, color)) in (72..).step_by(26).zip(entries) {
        let sample = vec![(4, y + 7), (34, y + 7)];
        area.draw(&PathElement::new(sample, color.stroke_width(4)))?;
        area.draw(&Text::new(name.clone(), (44, y), font(17)))?;
    }
    Ok(())
}
