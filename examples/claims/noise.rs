//! How the statistics of batches scatter around those of the population that they are drawn from.

use std::error::Error;

use rand::SeedableRng;
use rand_distr::{Distribution, Normal};
use rand_pcg::Pcg64Mcg;
use wgnorm::{BatchNorm, BatchNormOptions, Momentum};

use crate::claim::Claim;
use crate::common::several::Measured;
use crate::picture::{self, Histogram};
use crate::trials::Bench;

const MEAN: f32 = 5.0;
const STD: f32 = 2.0;
const SIZES: [usize; 2] = [2, 32];

/// Every channel of a batch is a batch of its own, so one forward draws this many.
const CHANNELS: usize = 8192;

/// How far a measured value may be from its theory, in parts of it: some four times what so many
/// channels scatter.
const CLOSE: f32 = 0.06;

/// What came out for one size of batch.
struct Drawn {
    means: Vec<f32>,
    /// The biased variances that normalize, and the unbiased ones that move `running_var`.
    biased: Vec<f32>,
    unbiased: Vec<f32>,
    /// The share of the outputs that are 1 or -1 but for a hundredth.
    signs: f32,
}

pub(crate) fn run(bench: &Bench) -> Result<Vec<Claim>, Box<dyn Error>> {
    let drawn = [draw(bench, SIZES[0])?, draw(bench, SIZES[1])?];
    println!(
        "\n5. Statistics of batches from a population with mean {MEAN} and variance {}",
        STD * STD
    );
    println!(
        "  values | std of means | mean of biased variances | of unbiased ones | outputs that are ±1"
    );
    for (n, drawn) in SIZES.iter().zip(&drawn) {
        let scatter = Measured::of(&drawn.means).spread;
        let biased = Measured::of(&drawn.biased).mean;
        let unbiased = Measured::of(&drawn.unbiased);
        let signs = format!("{:.1} %", 100.0 * drawn.signs);
        println!(
            "  {n:>6} | {scatter:>12.3} | {biased:>24.3} | {:>16.3} | {signs:>19}",
            unbiased.mean
        );
    }
    picture::histograms(
        &bench.folder.join("noise.svg"),
        "Statistics of batches of 2 and of 32",
        &[
            Histogram {
                label: "mean of a batch",
                range: 0.0..10.0,
                truth: MEAN,
                values: [&drawn[0].means, &drawn[1].means],
            },
            Histogram {
                label: "unbiased variance of a batch",
                range: 0.0..16.0,
                truth: STD * STD,
                values: [&drawn[0].unbiased, &drawn[1].unbiased],
            },
        ],
        ["2 values", "32 values"],
    )?;
    Ok(claims(&drawn))
}

fn draw(bench: &Bench, n: usize) -> Result<Drawn, Box<dyn Error>> {
    // A new batch that has all the weight leaves its own statistics in the running ones.
    let options = BatchNormOptions {
        momentum: Momentum::NewWeight(1.0),
        ..BatchNormOptions::default()
    };
    let population = Normal::new(MEAN, STD)?;
    let rng = Pcg64Mcg::seed_from_u64(n as u64);
    let values: Vec<f32> = population.sample_iter(rng).take(n * CHANNELS).collect();
    let device = bench.device;
    let norm = BatchNorm::new(device, CHANNELS, options)?;
    let x = device.upload(&values, [n, CHANNELS])?;
    let mut step = device.recorder();
    let (y, saved) = norm.forward_train(&mut step, &x)?;
    step.submit()?;
    let y: Vec<f32> = device.download(&y)?;
    let used = saved.statistics(device)?;
    let running = norm.running_var().ok_or("a new batch norm has one")?;
    let signs = y.iter().filter(|y| (y.abs() - 1.0).abs() < 0.01).count();
    let eps = options.eps as f32;
    Ok(Drawn {
        means: used.mean,
        biased: used.rstd.iter().map(|r| 1.0 / (r * r) - eps).collect(),
        unbiased: device.download(running)?,
        signs: signs as f32 / y.len() as f32,
    })
}

fn claims(drawn: &[Drawn; 2]) -> Vec<Claim> {
    let close = |measured: f32, theory: f32| (measured / theory - 1.0).abs() < CLOSE;
    let variance = STD * STD;
    let sizes = SIZES.map(|n| n as f32);
    let scatter = drawn.each_ref().map(|d| Measured::of(&d.means).spread);
    let biased = drawn.each_ref().map(|d| Measured::of(&d.biased).mean);
    let unbiased = drawn.each_ref().map(|d| Measured::of(&d.unbiased).mean);
    let each = |holds: &dyn Fn(usize) -> bool| (0..2).all(holds);
    vec![
        Claim::proved(
            "the mean of n values scatters by std / sqrt(n)",
            each(&|i| close(scatter[i], STD / sizes[i].sqrt())),
            format!("{:.3} at 2 values, {:.3} at 32", scatter[0], scatter[1]),
        ),
        Claim::proved(
            "the variance that normalizes is too small by one n-th",
            each(&|i| close(biased[i], variance * (sizes[i] - 1.0) / sizes[i])),
            format!("{:.2} at 2 values, {:.2} at 32", biased[0], biased[1]),
        ),
        Claim::proved(
            "the unbiased one that moves running_var is not",
            each(&|i| close(unbiased[i], variance)),
            format!("{:.2} at 2 values, {:.2} at 32", unbiased[0], unbiased[1]),
        ),
        Claim::proved(
            "of two values batch norm leaves only which is larger",
            drawn[0].signs > 0.98,
            format!(
                "{:.1} % of the outputs are ±1 at 2 values, {:.1} % at 32",
                100.0 * drawn[0].signs,
                100.0 * drawn[1].signs
            ),
        ),
    ]
}
