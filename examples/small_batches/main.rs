//! Trains the digits' network in batches of 64 down to 2, with batch norm, its relatives and no
//! norm, and shows where batch norm breaks and what holds.
//!
//! `cargo run --release --example small_batches [-- FOLDER]` prints a table and what follows from
//! it, and writes a picture into `target/small_batches` or the folder given. It fails unless batch
//! norm is worse than no norm in batches of 2 and than layer norm.

#[allow(dead_code, reason = "each of the examples that share it uses a part")]
#[path = "../common/mod.rs"]
mod common;
mod experiment;
mod picture;
mod report;

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use env_logger::Env;
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;
use wgnorm::Device;

use common::data::Split;
use experiment::{EPOCHS, SEEDS};

/// Decides which digits are held out.
const SPLIT_SEED: u64 = 1;

fn main() -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let folder = std::env::args_os()
        .nth(1)
        .map_or("target/small_batches".into(), PathBuf::from);
    // That these batches are small is what this example is about, so wgnorm need not warn of it.
    env_logger::Builder::from_env(Env::default().default_filter_or("wgnorm::gpu=info")).init();
    let device = Device::new()?;
    let data = Split::load(&mut Pcg64Mcg::seed_from_u64(SPLIT_SEED))?;
    println!(
        "{} digits to learn from and {} held out, {EPOCHS} epochs, {} seeds each",
        data.train.len(),
        data.held_out.len(),
        SEEDS.len()
    );
    let cells = experiment::run_all(&device, &data)?;
    report::print_table(&cells);
    let complaints = report::verdict(&cells);
    println!("picture: {}", picture::draw(&folder, &cells)?.display());
    println!("{:.1} s in all", start.elapsed().as_secs_f32());
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(complaints.join("; ").into())
    }
}
