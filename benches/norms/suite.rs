//! The shapes that are measured: the suites, and those from the command line.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;

use crate::Outcome;
use crate::args::Args;
use crate::case::{Case, Layout, Op};
use crate::norm::Norm;
use crate::tail::Tail;
use crate::way::Way;

/// The logical dimensions N, C, … of a shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dims(pub(crate) Vec<usize>);

impl Dims {
    /// As the command line takes it: `n32c64h56w56`.
    pub(crate) fn letters(&self) -> String {
        let spatial: &[char] = match self.0.len() {
            3 => &['l'],
            4 => &['h', 'w'],
            5 => &['d', 'h', 'w'],
            _ => &['s'; 8],
        };
        let names = ['n', 'c'].iter().chain(spatial);
        let parts = names.zip(&self.0).map(|(name, dim)| format!("{name}{dim}"));
        parts.collect()
    }
}

impl fmt::Display for Dims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> = self.0.iter().map(usize::to_string).collect();
        f.pad(&dims.join("x"))
    }
}

impl FromStr for Dims {
    type Err = String;

    /// Reads `n32c64h56w56`: a letter and a number for each dimension, n and c first.
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected letters with numbers, n and c first: n32c64h56w56".to_owned();
        let mut dims = Vec::new();
        let mut rest = text;
        while let Some(letter) = rest.chars().next() {
            let fits = match dims.len() {
                0 => letter == 'n',
                1 => letter == 'c',
                _ => matches!(letter, 'd' | 'h' | 'w' | 'l' | 's'),
            };
            let digits = rest.get(1..).filter(|_| fits).ok_or_else(expected)?;
            let end = digits.find(|c: char| !c.is_ascii_digit());
            let (number, after) = digits.split_at(end.unwrap_or(digits.len()));
            match number.parse() {
                Ok(dim) if dim > 0 => dims.push(dim),
                _ => return Err(format!("{letter} needs a number above 0")),
            }
            rest = after;
        }
        if !(2..=8).contains(&dims.len()) {
            return Err(expected());
        }
        let numel = dims.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim));
        // Ten vectors of f64 are held at a time to verify a shape.
        match numel {
            Some(numel) if numel <= 1 << 31 => Ok(Self(dims)),
            _ => Err("too large to be verified: more than 2^31 elements".to_owned()),
        }
    }
}

/// A named set of shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    /// Small shapes for both strategies
    Quick,
    /// The shapes that the performance targets are about, and what launching costs
    Targets,
    /// The shape that is all launch
    Tiny,
    /// Layer, RMS, group and instance norm
    Relatives,
    /// The activations of ResNet-50 for 32 images of 224 x 224
    Resnet50,
    /// Batch norm with what follows it in its dispatches, against the same without
    Tails,
    /// Batch norm of what a mask calls valid, and of a batch in two pieces, against that of the whole
    Control,
}

impl Suite {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Targets => "targets",
            Self::Tiny => "tiny",
            Self::Relatives => "relatives",
            Self::Resnet50 => "resnet50",
            Self::Tails => "tails",
            Self::Control => "control",
        }
    }

    /// The norms and the shapes that they are measured on.
    fn shapes(self) -> Vec<(Norm, Dims)> {
        let rows = [Norm::Layer, Norm::Rms];
        let planes = [
            (Norm::Group, vec![32, 64, 56, 56]),
            (Norm::Instance, vec![8, 64, 128, 128]),
        ];
        match self {
            Self::Relatives => [vec![4096, 1024], vec![65536, 256]]
                .into_iter()
                .flat_map(|dims| rows.map(|norm| (norm, dims.clone())))
                .chain(planes)
                .map(|(norm, dims)| (norm, Dims(dims)))
                .collect(),
            _ => self
                .batch_shapes()
                .iter()
                .map(|dims| (Norm::Batch, Dims(dims.to_vec())))
                .collect(),
        }
    }

    /// What follows the norms unless the arguments say it; the quick shapes see all of it when they are
    /// to see that all works.
    fn tails(self, is_test: bool) -> &'static [Tail] {
        match self {
            Self::Tails => &[Tail::Relu, Tail::ResidualRelu],
            Self::Quick if is_test => &[Tail::None, Tail::Relu, Tail::ResidualRelu],
            _ => &[Tail::None],
        }
    }

    /// How the norms see their batch unless the arguments say it.
    fn ways(self, is_test: bool) -> &'static [Way] {
        match self {
            Self::Control => &[Way::Masked, Way::Pieces],
            Self::Quick if is_test => &[Way::Whole, Way::Masked, Way::Pieces],
            _ => &[Way::Whole],
        }
    }

    fn batch_shapes(self) -> &'static [&'static [usize]] {
        match self {
            Self::Relatives => &[],
            Self::Quick => &[
                &[8, 64, 28, 28],
                &[16, 50, 13, 13],
                &[4, 3, 64, 64],
                &[512, 128],
            ],
            Self::Targets => &[
                &[32, 64, 56, 56],
                &[32, 256, 14, 14],
                &[64, 512, 7, 7],
                &[8, 3, 256, 256],
                &[16, 1, 512, 512],
                &[64, 50, 13, 13],
                &[256, 1024],
                &[65536, 32],
                &[8192, 50],
            ],
            Self::Tiny => &[&[32, 64]],
            Self::Tails => &[&[32, 64, 56, 56], &[32, 256, 14, 14], &[64, 512, 7, 7]],
            Self::Control => &[&[32, 64, 56, 56], &[32, 256, 14, 14], &[8192, 64]],
            Self::Resnet50 => &[
                &[32, 64, 112, 112],
                &[32, 64, 56, 56],
                &[32, 128, 56, 56],
                &[32, 256, 56, 56],
                &[32, 128, 28, 28],
                &[32, 256, 28, 28],
                &[32, 512, 28, 28],
                &[32, 256, 14, 14],
                &[32, 512, 14, 14],
                &[32, 1024, 14, 14],
                &[32, 512, 7, 7],
                &[32, 2048, 7, 7],
            ],
        }
    }
}

/// The suites that were asked for; the targets bring the other norms and the tiny shape along.
fn suites(args: &Args) -> Vec<Suite> {
    let mut suites = args.suite.clone();
    if suites.is_empty() && args.shape.is_empty() {
        suites.push(if args.is_test() {
            Suite::Quick
        } else {
            Suite::Targets
        });
    }
    if suites.contains(&Suite::Targets) {
        let more = [Suite::Relatives, Suite::Tiny];
        suites.extend(more.into_iter().filter(|suite| !args.suite.contains(suite)));
    }
    suites
}

/// Whether the costs of launching are to be measured.
pub(crate) fn wants_launch(args: &Args) -> bool {
    args.filter.is_none() && args.op.is_empty() && suites(args).contains(&Suite::Tiny)
}

/// The norms with their tails, ways and shapes, by suite.
type Wanted = (&'static str, Norm, (Tail, Way), Dims);

/// Each tail with each way, of those that were given or else of the suite's.
fn kinds(args: &Args, tails: &[Tail], ways: &[Way]) -> Vec<(Tail, Way)> {
    fn chosen<'a, T>(given: &'a [T], of_suite: &'a [T]) -> &'a [T] {
        if given.is_empty() { of_suite } else { given }
    }
    let tails = chosen(&args.tail, tails).iter();
    let ways = chosen(&args.way, ways);
    tails
        .flat_map(|&tail| ways.iter().map(move |&way| (tail, way)))
        .collect()
}

fn wanted(args: &Args) -> Vec<Wanted> {
    let mut shapes = Vec::new();
    let is_test = args.is_test();
    for suite in suites(args) {
        for (norm, dims) in suite.shapes() {
            let kinds = kinds(args, suite.tails(is_test), suite.ways(is_test)).into_iter();
            shapes.extend(kinds.map(|kind| (suite.name(), norm, kind, dims.clone())));
        }
    }
    let norms = match args.norm.as_slice() {
        [] => &[Norm::Batch],
        norms => norms,
    };
    for dims in &args.shape {
        for &norm in norms {
            let kinds = kinds(args, &[Tail::None], &[Way::Whole]).into_iter();
            shapes.extend(kinds.map(|kind| ("custom", norm, kind, dims.clone())));
        }
    }
    shapes.retain(|(_, norm, ..)| args.norm.is_empty() || args.norm.contains(norm));
    shapes
}

/// All that the arguments ask for; an error where that is nothing.
pub(crate) fn cases(args: &Args) -> Outcome<Vec<Case>> {
    let strategies = match args.strategy.as_slice() {
        [] => vec![None],
        forced => forced.iter().copied().map(Some).collect(),
    };
    let mut cases = Vec::new();
    for (suite, norm, (tail, way), dims) in wanted(args) {
        for layout in layouts(norm, &dims) {
            for &strategy in &strategies {
                let mut case = Case {
                    suite,
                    norm,
                    tail,
                    way,
                    dims: dims.clone(),
                    layout,
                    strategy,
                    dtype: args.dtype.of_tensors(),
                    ops: Op::ALL.to_vec(),
                };
                let named = case.clone();
                case.ops.retain(|&op| selects(args, &named, op));
                if case.exists() && !case.ops.is_empty() {
                    cases.push(case);
                }
            }
        }
    }
    if cases.is_empty() {
        return Err("nothing that is measured fits the filter and the options".into());
    }
    Ok(cases)
}

/// Where there is nothing behind the channels, or no channel, both layouts are one.
fn layouts(norm: Norm, dims: &Dims) -> Vec<Layout> {
    match dims.0.len() {
        _ if norm.is_of_rows() => vec![Layout::ChannelsFirst],
        2 => vec![Layout::ChannelsFirst],
        _ => vec![Layout::ChannelsFirst, Layout::ChannelsLast],
    }
}

fn selects(args: &Args, case: &Case, op: Op) -> bool {
    if op == Op::Inference && !case.has_running() || !case.way.has(op) {
        return false;
    }
    let filter = args.filter.as_ref();
    filter.is_none_or(|filter| case.name(op).contains(filter.as_str()))
        && (args.op.is_empty() || args.op.contains(&op))
        && (args.layout.is_empty() || args.layout.contains(&case.layout))
}
