//! NaN and infinity in one statistic leave the bits of every other alone.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde::Serialize;
use wgnorm::{Device, Statistics, reference};

use crate::draw::norm_case;
use crate::effort::Effort;
use crate::family_case::{Case, Norm, Values};
use crate::flavour::{Devices, numbers};
use crate::report::Report;

#[derive(Default, Serialize)]
struct Figures {
    cases: u64,
    leaks: u64,
}

/// The name of an output, what it is without the value and with it, and which elements may differ.
type Output<'a> = (
    &'static str,
    &'a [f32],
    &'a [f32],
    &'a dyn Fn(usize) -> bool,
);

/// Which input has the value that is not finite.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Source {
    X,
    Dy,
    Residual,
}

/// A case with one such value.
#[derive(Debug)]
struct Poisoned {
    case: Case,
    element: usize,
    source: Source,
    value: f32,
}

pub(crate) fn run(_: &Device, effort: &Effort, report: &mut Report) {
    let mut figures = Figures::default();
    let seeds: Vec<u64> = numbers(effort.isolations, effort.flavours).collect();
    report.seeds("nan_isolation", &seeds);
    let mut devices = Devices::new();
    for seed in seeds {
        let device = devices.get(seed);
        let poisoned = Poisoned::draw(norm_case(device, seed), seed);
        figures.cases += 1;
        match catch_unwind(AssertUnwindSafe(|| poisoned.leak(device))) {
            Ok(None) => {}
            Ok(Some(what)) => {
                figures.leaks += 1;
                report.violation(format!("case {seed} leaks into {what}, {poisoned:?}"));
            }
            Err(_) => report.violation(format!("case {seed} panicked, {poisoned:?}")),
        }
    }
    report.set("nan_isolation", &figures);
}

impl Poisoned {
    fn draw(case: Case, seed: u64) -> Self {
        let mut rng = Pcg64::seed_from_u64(seed);
        let x = case.inputs().x;
        let valid: Vec<usize> = (0..x.len()).filter(|&i| !x[i].is_nan()).collect();
        let source = match rng.random_range(0..4) {
            0 => Source::Dy,
            1 if case.residual => Source::Residual,
            _ => Source::X,
        };
        Self {
            element: valid[rng.random_range(0..valid.len())],
            source,
            value: [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][rng.random_range(0..3)],
            case,
        }
    }

    /// Runs it with the value and without, and names an output with other bits where none may be.
    fn leak(&self, device: &Device) -> Option<&'static str> {
        let clean = self.case.inputs();
        let mut spoilt = clean.clone();
        let input = match self.source {
            Source::X => &mut spoilt.x,
            Source::Dy => &mut spoilt.dy,
            Source::Residual => &mut spoilt.residual,
        };
        input[self.element] = self.value;
        let want = self.case.run(device, &clean);
        let got = self.case.run(device, &spoilt);
        self.expect_shown(&got);
        self.compare(&want, &got)
    }

    /// A NaN has to come out as one, or comparing the rest would say nothing.
    fn expect_shown(&self, got: &Values<f32>) {
        let (output, name) = match self.source {
            Source::X | Source::Residual => (&got.y, "y"),
            Source::Dy if self.case.has_relu() || !self.case.gradients().dx => return,
            Source::Dy => (&got.dx, "dx"),
        };
        let is_shown = !self.value.is_nan() || output[self.element].is_nan();
        assert!(is_shown, "a NaN is hidden in {name}");
    }

    fn compare(&self, want: &Values<f32>, got: &Values<f32>) -> Option<&'static str> {
        let case = &self.case;
        let statistics = case.statistics();
        let own = statistics[self.element];
        let of_element = |i: usize| statistics[i] == own;
        // Where running statistics normalize nothing is saved of the batch's.
        let is_batch = case.mode.statistics == Statistics::Batch;
        let of_statistic = |s: usize| is_batch && s == own;
        let channels = self.channels(&statistics);
        let of_parameter = |p: usize| match &channels {
            Some(hit) => hit[p],
            // Gains of elements add up rows, each the elements of its own place.
            None if self.source == Source::Dy => {
                p == self.element % got.dgamma.len().max(got.dbeta.len())
            }
            None => true,
        };
        let outputs: [Output<'_>; 9] = [
            ("y", &want.y, &got.y, &of_element),
            ("dx", &want.dx, &got.dx, &of_element),
            ("dresidual", &want.dresidual, &got.dresidual, &of_element),
            ("mean", &want.mean, &got.mean, &of_statistic),
            ("rstd", &want.rstd, &got.rstd, &of_statistic),
            (
                "running_mean",
                &want.running_mean,
                &got.running_mean,
                &of_parameter,
            ),
            (
                "running_var",
                &want.running_var,
                &got.running_var,
                &of_parameter,
            ),
            ("dgamma", &want.dgamma, &got.dgamma, &of_parameter),
            ("dbeta", &want.dbeta, &got.dbeta, &of_parameter),
        ];
        let differs = |(_, want, got, may): &Output<'_>| {
            let pairs = want.iter().zip(*got).enumerate();
            pairs
                .filter(|(i, _)| !may(*i))
                .any(|(_, (want, got))| want.to_bits() != got.to_bits())
        };
        outputs
            .iter()
            .find(|output| differs(output))
            .map(|(name, ..)| *name)
    }

    /// Which channels have elements of the poisoned statistic; none for gains of elements.
    fn channels(&self, statistics: &[usize]) -> Option<Vec<bool>> {
        let axis = match &self.case.norm {
            Norm::Layer(_) | Norm::Rms(_) => return None,
            Norm::Batch(options) => options.channel_axis,
            Norm::Group(options) => options.channel_axis,
            Norm::Instance(options) => options.channel_axis,
            Norm::Renorm(options) => options.channel_axis,
            Norm::Weight(options) => options.dim,
        };
        let shape = &self.case.shape;
        let mut hit = vec![false; shape.dims()[axis]];
        let own = statistics[self.element];
        for (channel, &statistic) in reference::channels(shape, axis).zip(statistics) {
            hit[channel] |= statistic == own;
        }
        Some(hit)
    }
}
