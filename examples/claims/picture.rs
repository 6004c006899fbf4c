//! The pictures: lines over something, and histograms.

use std::error::Error;
use std::ops::Range;
use std::path::Path;

use plotters::prelude::RGBColor;

use crate::common::drawing::{
    Axis, Canvas, HEAT, Outcome, canvas, chart, density, legend, line, measured_line, outline,
    plain,
};
use crate::common::several::Measured;

const COLORS: [RGBColor; 4] = [RGBColor(130, 130, 130), HEAT[5], HEAT[1], HEAT[3]];
const BINS: usize = 80;

/// A line: x, y and the spread of y.
pub(crate) struct Series {
    name: String,
    points: Vec<(f64, f64, f64)>,
}

impl Series {
    pub(crate) fn new(
        name: &str,
        x: impl IntoIterator<Item = f64>,
        y: impl IntoIterator<Item = (f64, f64)>,
    ) -> Self {
        let points = x.into_iter().zip(y).map(|(x, (y, spread))| (x, y, spread));
        Self {
            name: name.to_owned(),
            points: points.collect(),
        }
    }

    /// Shares, in percent.
    pub(crate) fn percent(
        name: &str,
        x: impl IntoIterator<Item = f64>,
        shares: &[Measured],
    ) -> Self {
        let percent = |share: f32| 100.0 * f64::from(share);
        let y = shares
            .iter()
            .map(|share| (percent(share.mean), percent(share.spread)));
        Self::new(name, x, y)
    }
}

pub(crate) fn epoch_axis(epochs: usize) -> Axis<'static> {
    Axis {
        label: "epoch",
        range: 1.0..epochs as f64,
        values: epochs,
        format: plain,
    }
}

pub(crate) fn percent_axis(bottom: f64) -> Axis<'static> {
    Axis {
        label: "held-out digits right, percent",
        range: bottom..100.0,
        values: 6,
        format: plain,
    }
}

pub(crate) fn draw(path: &Path, heading: &str, x: &Axis, y: &Axis, series: &[Series]) -> Outcome {
    let (root, body) = canvas(path, (900, 520), heading)?;
    let (area, side) = body.split_horizontally(720);
    let mut chart = chart(&area, "", x, y)?;
    for (series, color) in series.iter().zip(COLORS) {
        measured_line(&mut chart, &series.points, color)?;
    }
    let names = series.iter().map(|series| series.name.clone());
    legend(&side, "", &names.zip(COLORS).collect::<Vec<_>>())?;
    root.present()?;
    Ok(())
}

/// Two sets of values that scatter around one truth.
pub(crate) struct Histogram<'a> {
    pub(crate) label: &'a str,
    pub(crate) range: Range<f64>,
    pub(crate) truth: f32,
    pub(crate) values: [&'a [f32]; 2],
}

pub(crate) fn histograms(
    path: &Path,
    heading: &str,
    panels: &[Histogram],
    names: [&str; 2],
) -> Result<(), Box<dyn Error>> {
    let (root, body) = canvas(path, (1180, 520), heading)?;
    let (areas, side) = body.split_horizontally(1000);
    for (area, panel) in areas.split_evenly((1, panels.len())).iter().zip(panels) {
        histogram(area, panel)?;
    }
    let names = [names[0], names[1], "population"].map(String::from);
    let colors = [COLORS[1], COLORS[2], COLORS[0]];
    let entries: Vec<(String, RGBColor)> = names.into_iter().zip(colors).collect();
    legend(&side, "", &entries)?;
    root.present()?;
    Ok(())
}

fn histogram(area: &Canvas, panel: &Histogram) -> Outcome {
    let range = panel.range.clone();
    let width = (range.end - range.start) / BINS as f64;
    let bars = panel
        .values
        .map(|values| density(values.iter().copied(), range.clone(), BINS));
    let heights = bars.iter().flatten().map(|&(_, height)| height);
    let top = 1.05 * heights.fold(0.0, f64::max);
    let x = Axis {
        label: panel.label,
        range,
        values: 9,
        format: plain,
    };
    let y = Axis {
        label: "density",
        range: 0.0..top,
        values: 6,
        format: plain,
    };
    let mut chart = chart(area, "", &x, &y)?;
    let truth = f64::from(panel.truth);
    line(&mut chart, &[(truth, 0.0), (truth, top)], COLORS[0])?;
    for (bars, color) in bars.iter().zip([COLORS[1], COLORS[2]]) {
        // The last bar counts what lies beyond the chart too.
        line(&mut chart, &outline(&bars[..BINS - 1], width), color)?;
    }
    Ok(())
}
