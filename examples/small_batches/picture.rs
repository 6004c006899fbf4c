//! The accuracies over the size of the batch, and the learning curves for each size.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use plotters::prelude::RGBColor;

use crate::common::drawing::{
    Axis, HEAT, Outcome, canvas, chart, legend, line, measured_line, plain, power_of_two,
};
use crate::experiment::{BATCHES, Cell, Contestant, EPOCHS, LOOKS};
use crate::report::row;

/// The accuracies that the charts have room for, in percent.
const BOTTOM: f64 = 40.0;

/// Draws into `folder` and says where.
pub(crate) fn draw(folder: &Path, cells: &[Cell]) -> Result<PathBuf, Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    let path = folder.join("small_batches.svg");
    draw_at(&path, cells)?;
    Ok(path)
}

fn draw_at(path: &Path, cells: &[Cell]) -> Outcome {
    let heading = "Small batches, accuracy on held-out digits";
    let (root, body) = canvas(path, (1280, 1160), heading)?;
    let (charts, side) = body.split_horizontally(1130);
    let (top, below) = charts.split_vertically(480);
    let accuracy = |label| Axis {
        label,
        range: BOTTOM..100.0,
        values: 6,
        format: plain,
    };
    let x = Axis {
        label: "digits in a batch",
        range: 0.8..6.2,
        values: BATCHES.len(),
        format: power_of_two,
    };
    let mut all = chart(&top, "at the end", &x, &accuracy("percent right"))?;
    for (contestant, color) in Contestant::ALL.into_iter().zip(colors()) {
        let points = row(cells, contestant).map(|cell| {
            let (mean, spread) = (cell.accuracy.mean, cell.accuracy.spread);
            let size = (cell.batch as f64).log2();
            (size, 100.0 * f64::from(mean), 100.0 * f64::from(spread))
        });
        measured_line(&mut all, &points.collect::<Vec<_>>(), color)?;
    }
    for (area, batch) in below.split_evenly((2, 3)).iter().zip(BATCHES) {
        let title = format!("on the way, batches of {batch}");
        let x = Axis {
            label: "epoch",
            range: 0.0..EPOCHS as f64,
            values: EPOCHS + 1,
            format: plain,
        };
        let mut panel = chart(area, &title, &x, &accuracy("percent"))?;
        let of_size = cells.iter().filter(|cell| cell.batch == batch);
        for (cell, color) in of_size.zip(colors()) {
            line(&mut panel, &curve(cell), color)?;
        }
    }
    let names = Contestant::ALL.map(|contestant| contestant.name().to_owned());
    let entries: Vec<(String, RGBColor)> = names.into_iter().zip(colors()).collect();
    legend(&side, "norm", &entries)?;
    root.present()?;
    Ok(())
}

fn colors() -> [RGBColor; 5] {
    [RGBColor(130, 130, 130), HEAT[5], HEAT[1], HEAT[2], HEAT[3]]
}

fn curve(cell: &Cell) -> Vec<(f64, f64)> {
    let step = EPOCHS as f64 / LOOKS as f64;
    let percent = |&accuracy: &f32| (100.0 * f64::from(accuracy)).max(BOTTOM);
    let looks = (1..).map(|look| f64::from(look) * step);
    looks.zip(cell.curve.iter().map(percent)).collect()
}
