//! What texts claim about batch norm, measured on the digits: that first weights hardly matter, where
//! it belongs, what it does to gradients, how it gets on with dropout, how its statistics scatter.
//!
//! `cargo run --release --example claims [-- FOLDER]` prints tables and says of each claim whether it
//! holds on this data, by the numbers of this run; pictures go into `target/claims` or the folder
//! given. It fails where a number is none, or where what is a theorem does not hold.

mod claim;
#[allow(dead_code, reason = "each of the examples that share it uses a part")]
#[path = "../common/mod.rs"]
mod common;
mod depth;
mod dropout;
mod noise;
mod picture;
mod placement;
mod scales;
mod trials;

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use env_logger::Env;
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;
use wgnorm::Device;

use claim::Claim;
use common::data::Split;
use trials::Bench;

/// Decides which digits are held out.
const SPLIT_SEED: u64 = 1;

fn main() -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let folder = std::env::args_os()
        .nth(1)
        .map_or("target/claims".into(), PathBuf::from);
    // Batches of two values are measured on purpose, so wgnorm need not warn of them.
    env_logger::Builder::from_env(Env::default().default_filter_or("wgnorm::gpu=info")).init();
    fs::create_dir_all(&folder)?;
    let bench = Bench {
        device: &Device::new()?,
        data: &Split::load(&mut Pcg64Mcg::seed_from_u64(SPLIT_SEED))?,
        folder: &folder,
    };
    let sections = [
        scales::run,
        placement::run,
        depth::run,
        dropout::run,
        noise::run,
    ];
    let mut claims: Vec<Claim> = Vec::new();
    for section in sections {
        let found = section(&bench)?;
        found.iter().for_each(Claim::print);
        claims.extend(found);
    }
    let holding = claims.iter().filter(|claim| claim.holds).count();
    println!(
        "\n{holding} of {} claims hold on this data; pictures are in {}",
        claims.len(),
        folder.display()
    );
    println!("{:.1} s in all", start.elapsed().as_secs_f32());
    claims.iter().try_for_each(Claim::complain)
}
