//! The handwritten digits: 8 x 8 pixels from 0 to 16, and which digit they show.

use std::error::Error;

use ndarray::{Array2, Axis};
use rand::seq::SliceRandom;
use rand_pcg::Pcg64Mcg;

/// Where the file comes from, and its attribution, is in `examples/data/README.md`.
const CSV: &str = include_str!("../data/digits.csv");
const PIXELS: usize = 64;

/// Some digits: one row of pixels and one label each.
pub(crate) struct Digits {
    pub(crate) pixels: Array2<f32>,
    pub(crate) labels: Vec<usize>,
}

/// The digits to learn from, and those that are only ever looked at to measure.
pub(crate) struct Split {
    pub(crate) train: Digits,
    pub(crate) held_out: Digits,
}

impl Digits {
    fn parse(csv: &str) -> Result<Self, Box<dyn Error>> {
        let mut pixels = Vec::new();
        let mut labels = Vec::new();
        for line in csv.lines() {
            let (row, label) = line.rsplit_once(',').ok_or("a line without a class")?;
            for pixel in row.split(',') {
                pixels.push(pixel.parse()?);
            }
            labels.push(label.parse()?);
        }
        let pixels = Array2::from_shape_vec((labels.len(), PIXELS), pixels)?;
        Ok(Self { pixels, labels })
    }

    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    /// The digits at `rows`, in that order.
    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        Self {
            pixels: self.pixels.select(Axis(0), rows),
            labels: rows.iter().map(|&row| self.labels[row]).collect(),
        }
    }
}

impl Split {
    /// Holds out a fifth of all digits. They are shuffled first, because the file is ordered by
    /// writer and the held-out fifth would otherwise come from people never seen in training.
    pub(crate) fn load(rng: &mut Pcg64Mcg) -> Result<Self, Box<dyn Error>> {
        let digits = Digits::parse(CSV)?;
        let mut rows: Vec<usize> = (0..digits.len()).collect();
        rows.shuffle(rng);
        let (held_out, train) = rows.split_at(rows.len() / 5);
        Ok(Self {
            train: digits.select(train),
            held_out: digits.select(held_out),
        })
    }
}
