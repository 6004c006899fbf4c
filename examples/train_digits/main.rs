//! Trains a network on handwritten digits, with and without batch norm, at learning rates from
//! careful to reckless, and compares.
//!
//! `cargo run --release --example train_digits [-- FOLDER]` prints a table and writes pictures into
//! `target/train_digits` or the folder given. It fails unless batch norm does what it is known for:
//! 97 % of the held-out digits right, and learning rates ten times as large as without it.
//!
//! Start reading in `../common/norm.rs`, where the network meets wgnorm.

#[allow(dead_code, reason = "each of the examples that share it uses a part")]
#[path = "../common/mod.rs"]
mod common;
mod experiment;
mod pictures;
mod report;

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use env_logger::Env;
use indicatif::{ProgressBar, ProgressStyle};
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;
use wgnorm::Device;

use common::data::Split;
use common::norm::Kind;
use common::optimizer::{Method, Optimizer};
use experiment::{BATCH, EPOCHS};
use report::Results;

const SGD_RATES: [f32; 6] = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0];
const ADAM_RATES: [f32; 3] = [0.001, 0.01, 0.1];

/// Decides which digits are held out.
const SPLIT_SEED: u64 = 1;

fn main() -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let folder = std::env::args_os()
        .nth(1)
        .map_or("target/train_digits".into(), PathBuf::from);
    // Lets wgnorm say which adapter it took.
    env_logger::Builder::from_env(Env::default().default_filter_or("wgnorm=info")).init();
    let device = Device::new()?;
    let data = Split::load(&mut Pcg64Mcg::seed_from_u64(SPLIT_SEED))?;
    println!(
        "{} digits to learn from and {} held out, {EPOCHS} epochs in batches of {BATCH}",
        data.train.len(),
        data.held_out.len()
    );

    let results = train_all(&device, &data)?;
    results.print_table();
    let mut complaints = results.verdict()?;
    complaints.extend(report::one_at_a_time(results.best()?, &data.held_out)?);
    for path in pictures::draw_all(&folder, &results)? {
        println!("picture: {}", path.display());
    }
    println!("{:.1} s in all", start.elapsed().as_secs_f32());
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(complaints.join("; ").into())
    }
}

/// Trains with every optimizer, without batch norm and with it.
fn train_all<'d>(device: &'d Device, data: &Split) -> Result<Results<'d>, Box<dyn Error>> {
    let sgd = SGD_RATES.map(|rate| (Method::Sgd, rate));
    let adam = ADAM_RATES.map(|rate| (Method::Adam, rate));
    let optimizers = sgd
        .iter()
        .chain(&adam)
        .map(|&(method, rate)| Optimizer { method, rate });
    let epochs = 2 * (sgd.len() + adam.len()) * EPOCHS;

    // The bar goes to standard error and is drawn on a terminal only.
    let bar = ProgressBar::new(epochs as u64);
    bar.set_style(ProgressStyle::with_template(
        "{bar:40} {pos}/{len} epochs, {eta} left, {msg}",
    )?);
    let mut results = Results {
        without: Vec::new(),
        with: Vec::new(),
    };
    for optimizer in optimizers {
        bar.set_message(format!("now {optimizer}"));
        let train = |norm| experiment::train(device, norm, optimizer, data, &bar);
        results.without.push(train(None)?);
        results.with.push(train(Some(Kind::Batch))?);
    }
    bar.finish_and_clear();
    Ok(results)
}
