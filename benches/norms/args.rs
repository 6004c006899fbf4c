//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use wgnorm::{DType, Strategy};

use crate::case::{Layout, Op};
use crate::norm::Norm;
use crate::suite::{Dims, Suite};
use crate::tail::Tail;
use crate::way::Way;

/// Times the norms against a copy of the same size, after verifying it against float64.
#[derive(Debug, Parser)]
#[command(name = "norms", bin_name = "cargo bench --")]
pub(crate) struct Args {
    /// Run only what has this in its name, for example `forward/n32c64`; a name reads
    /// suite/norm/operation/shape/layout, and behind that its tail or its way, if it has one
    pub(crate) filter: Option<String>,
    /// Run only this norm, or --shape with it; repeatable [default: batch for --shape]
    #[arg(long, value_enum)]
    pub(crate) norm: Vec<Norm>,
    /// Let this follow the norms; repeatable [default: as the suite says, else none]
    #[arg(long, value_enum)]
    pub(crate) tail: Vec<Tail>,
    /// Let batch norm see its batch this way; repeatable [default: as the suite says, else whole]
    #[arg(long, value_enum)]
    pub(crate) way: Vec<Way>,
    /// Run only this operation; repeatable
    #[arg(long, value_enum)]
    pub(crate) op: Vec<Op>,
    /// Run this shape, the logical N, C, … such as n32c64h56w56, instead of a suite; repeatable
    #[arg(long)]
    pub(crate) shape: Vec<Dims>,
    /// Run these shapes; repeatable [default: targets, and with --test quick]
    #[arg(long, value_enum)]
    pub(crate) suite: Vec<Suite>,
    /// Run only this layout; repeatable [default: both where they differ]
    #[arg(long, value_enum)]
    pub(crate) layout: Vec<Layout>,
    /// The element type of the activations
    #[arg(long, value_enum, default_value = "f32")]
    pub(crate) dtype: Dtype,
    /// Force this strategy upon the planner; repeatable
    #[arg(long, value_parser = strategy)]
    pub(crate) strategy: Vec<Strategy>,
    /// A part of the adapter's name; `WGPU_BACKEND` and `WGPU_ADAPTER_NAME` are honoured too
    #[arg(long)]
    pub(crate) adapter: Option<String>,
    /// Take so many samples instead of 9 to 31
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) samples: Option<u32>,
    /// Draw the data from this seed, to repeat a failure [default: a fresh one]
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Write the results here
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write one page with picture, tables and machine here
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Show another program's times beside ours; its file is like that of --json; repeatable
    #[arg(long, value_name = "FILE")]
    pub(crate) peer: Vec<PathBuf>,
    /// Compare the ratios to copy with those of an earlier --json
    #[arg(long, value_name = "BASE.json")]
    pub(crate) compare: Option<PathBuf>,
    /// Fail where a ratio is above the base's by more than this, such as 10%
    #[arg(long, value_name = "PERCENT", requires = "compare", value_parser = percent)]
    pub(crate) fail_above: Option<f64>,
    /// Run each once to see that all works; the times then mean nothing
    #[arg(long)]
    pub(crate) test: bool,
    /// What cargo bench adds by itself, and cargo test does not
    #[arg(long, hide = true)]
    pub(crate) bench: bool,
}

impl Args {
    /// Whether to see that all works rather than to measure.
    pub(crate) fn is_test(&self) -> bool {
        self.test || !self.bench
    }
}

/// The element types that operations take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dtype {
    F32,
    F16,
    Bf16,
}

impl Dtype {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }

    pub(crate) fn of_tensors(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::Bf16 => DType::Bf16,
        }
    }
}

fn strategy(text: &str) -> Result<Strategy, String> {
    let known = [
        Strategy::SplitRows,
        Strategy::SplitColumns,
        Strategy::Resident,
    ];
    let names = known.map(Strategy::name).join(", ");
    let found = known.into_iter().find(|strategy| strategy.name() == text);
    found.ok_or(format!("expected one of {names}"))
}

/// A percentage with or without its sign, as a fraction.
pub(crate) fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    match number.parse::<f64>() {
        Ok(percent) if percent >= 0.0 && percent.is_finite() => Ok(percent / 100.0),
        _ => Err("expected a percentage of 0 or more, such as 10%".to_owned()),
    }
}
