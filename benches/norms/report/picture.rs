//! The roofline: the ratio to a copy by size, a panel for each operation, strategies coloured.

use std::collections::BTreeMap;
use std::error::Error;

use plotters::coord::Shift;
use plotters::coord::combinators::LogCoord;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{
    Cartesian2d, ChartBuilder, ChartContext, Circle, Color, DrawingArea, IntoDrawingArea, IntoFont,
    IntoLogRange, LineSeries, PathElement, RGBColor, SVGBackend, Text, TriangleMarker, WHITE,
};
use plotters::style::TextStyle;

use super::Row;
use crate::Outcome;
use crate::case::Op;

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<LogCoord<f64>, RangedCoordf64>>;

const SIZE: (u32, u32) = (1200, 470);
const INK: RGBColor = RGBColor(40, 40, 40);
const GRID: RGBColor = RGBColor(225, 225, 225);
/// All can be told apart, from white, and by those who see no red or no green.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 120, 233),
    RGBColor(120, 94, 20),
    RGBColor(90, 90, 90),
];

/// The picture as an SVG element.
pub(crate) fn svg(rows: &[Row]) -> Outcome<String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let (panels, foot) = root.split_vertically(SIZE.1 - 50);
        let colours = colours(rows);
        for (area, op) in panels.split_evenly((1, 3)).iter().zip(Op::ALL) {
            let rows: Vec<&Row> = rows.iter().filter(|row| row.op == op.name()).collect();
            panel(area, op, &rows, &colours)?;
        }
        legend(&foot, &colours)?;
        root.present()?;
    }
    Ok(text)
}

type Colours = BTreeMap<String, RGBColor>;

fn colours(rows: &[Row]) -> Colours {
    let mut colours = Colours::new();
    for row in rows {
        let next = COLOURS[colours.len() % COLOURS.len()];
        colours.entry(row.strategy.clone()).or_insert(next);
    }
    colours
}

fn mib(row: &Row) -> f64 {
    row.pass_bytes as f64 / f64::from(1 << 20)
}

fn panel(area: &Canvas<'_>, op: Op, rows: &[&Row], colours: &Colours) -> Outcome {
    let sizes = || rows.iter().map(|row| mib(row));
    let left = sizes().fold(1.0, f64::min) / 1.6;
    let right = sizes().fold(1.0, f64::max) * 1.6;
    let highest = rows.iter().map(|row| row.ratio).fold(1.0, f64::max);
    let mut chart = chart(area, op.name(), left..right, 1.12 * highest)?;
    chart.draw_series(LineSeries::new(
        [(left, 1.0), (right, 1.0)],
        INK.stroke_width(2),
    ))?;
    best_copies(&mut chart, rows)?;
    for row in rows {
        let colour = colours.get(&row.strategy).copied().unwrap_or(INK);
        // The floor of this row's strategy: its bytes at the copy's speed.
        let floor = row.ratio * row.traffic_share();
        let edge = [(right / 1.25, floor), (right, floor)];
        chart.draw_series(LineSeries::new(edge, colour.stroke_width(3)))?;
        let at = (mib(row), row.ratio);
        let filled = colour.mix(0.75).filled();
        if row.layout == "channels_last" {
            chart.draw_series([TriangleMarker::new(at, 7, filled)])?;
        } else {
            chart.draw_series([Circle::new(at, 5, filled)])?;
        }
    }
    Ok(())
}

/// The fastest copies as a dotted line from size to size.
fn best_copies(chart: &mut Chart<'_>, rows: &[&Row]) -> Outcome {
    let mut points: Vec<(f64, f64)> = rows
        .iter()
        .map(|row| {
            (
                mib(row),
                row.best_copy_kernel_ns as f64 / row.copy_ns.max(1) as f64,
            )
        })
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let pairs = points.windows(2).flat_map(|pair| {
        let [(x0, y0), (x1, y1)] = [pair[0], pair[1]];
        // Dots that lie evenly on the logarithmic axis.
        let dots = (80.0 * (x1 / x0).log10()).ceil() as u32;
        (0..=dots).map(move |dot| {
            let part = f64::from(dot) / f64::from(dots.max(1));
            (x0 * (x1 / x0).powf(part), y0 + (y1 - y0) * part)
        })
    });
    let dots: Vec<_> = pairs.map(|at| Circle::new(at, 1, INK.filled())).collect();
    chart.draw_series(dots)?;
    Ok(())
}

fn chart<'a>(
    area: &Canvas<'a>,
    title: &str,
    sizes: std::ops::Range<f64>,
    top: f64,
) -> Result<Chart<'a>, Box<dyn Error>> {
    let mut chart = ChartBuilder::on(area)
        .caption(title, font(20))
        .margin(10)
        .x_label_area_size(44)
        .y_label_area_size(52)
        .build_cartesian_2d(sizes.log_scale().base(2.0), 0.0..top)?;
    chart
        .configure_mesh()
        .x_label_formatter(&|mib| size(*mib))
        .y_label_formatter(&|ratio| format!("{ratio:.1}"))
        .x_desc("bytes of one tensor")
        .y_desc("time / copy")
        .label_style(font(14))
        .axis_desc_style(font(15))
        .axis_style(INK)
        .bold_line_style(GRID)
        .light_line_style(WHITE)
        .draw()?;
    Ok(chart)
}

/// A size in the unit in which it is 1 or more, as it stands at the powers of two.
fn size(mib: f64) -> String {
    match mib {
        mib if mib >= 1024.0 => format!("{:.0} GiB", mib / 1024.0),
        mib if mib >= 1.0 => format!("{mib:.0} MiB"),
        mib => format!("{:.0} KiB", mib * 1024.0),
    }
}

fn font(size: i32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

fn legend(area: &Canvas<'_>, colours: &Colours) -> Outcome {
    let mut x = 60;
    for (name, colour) in colours {
        area.draw(&PathElement::new(
            [(x, 20), (x + 24, 20)],
            colour.stroke_width(6),
        ))?;
        area.draw(&Text::new(name.clone(), (x + 32, 12), font(16)))?;
        x += 150;
    }
    let marks = "circle: channels first    triangle: channels last";
    area.draw(&Text::new(marks, (x + 20, 12), font(16)))?;
    Ok(())
}
