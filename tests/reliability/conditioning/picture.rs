//! The errors over |mean| / std, as target/conditioning.svg.

use std::path::PathBuf;

use super::{DECADES, Figures, Torch};
use crate::drawing::{Axis, HEAT, Outcome, canvas, chart, legend, line, power_of_ten};

/// Exponents of ten: one rounding of an f32 lies above the bottom, an error as large as y at 0.
const ERRORS: std::ops::Range<f64> = -8.0..3.0;

pub(super) fn draw(figures: &[Figures], torch: &Torch) -> Outcome {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/conditioning.svg");
    let heading = "Error of y where the mean is far above the standard deviation";
    let (root, body) = canvas(&path, (1180, 620), heading)?;
    let (area, side) = body.split_horizontally(900);
    let x = Axis {
        label: "|mean| / std",
        range: 0.0..f64::from(DECADES),
        values: 8,
        format: power_of_ten,
    };
    let y = Axis {
        label: "relative L2 error against float64",
        range: ERRORS,
        values: 12,
        format: power_of_ten,
    };
    let mut chart = chart(&area, "training forward in f32", &x, &y)?;
    let pytorch = torch.y_l2.iter().enumerate();
    let curves = [
        (
            "E[x²] - E[x]² in f32".to_owned(),
            HEAT[5],
            points(figures.iter().map(|f| (f64::from(f.decade), f.naive_l2))),
        ),
        (
            format!("PyTorch {}", torch.version),
            HEAT[3],
            points(pytorch.map(|(decade, &error)| (decade as f64, error))),
        ),
        (
            "wgnorm".to_owned(),
            HEAT[1],
            points(figures.iter().map(|f| (f64::from(f.decade), f.y_l2))),
        ),
    ];
    for (_, color, points) in &curves {
        line(&mut chart, points, *color)?;
    }
    let entries = curves.map(|(name, color, _)| (name, color));
    legend(&side, "batch norm", &entries)?;
    root.present()?;
    println!("wrote {}", path.display());
    Ok(())
}

fn points(errors: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let exponent = |error: f64| error.log10().clamp(ERRORS.start, ERRORS.end);
    errors
        .map(|(decade, error)| (decade, exponent(error)))
        .collect()
}
