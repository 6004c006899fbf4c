//! The metadata that operations know: each entry with its default and its range.

use wgnorm::{Activation, Momentum, RunningVariance, Statistics};

use crate::file::Input;

/// Whether the step is one of training. Norms without running statistics do the same in both modes.
pub(crate) fn train(input: &mut Input<'_>) -> Result<bool, String> {
    choice(input, "mode", &[("train", true), ("eval", false)])
}

/// Which statistics normalize.
pub(crate) fn statistics(input: &mut Input<'_>, train: bool) -> Result<Statistics, String> {
    let batch = ("batch", Statistics::Batch);
    let running = ("running", Statistics::Running);
    let choices = if train {
        [batch, running]
    } else {
        [running, batch]
    };
    choice(input, "statistics", &choices)
}

pub(crate) fn channel_axis(input: &mut Input<'_>) -> Result<usize, String> {
    let expected = "a dimension of x, counted from 0";
    Ok(number(input, "channel_axis", expected, |_| true)?.unwrap_or(1))
}

/// How many trailing dimensions are normalized over.
pub(crate) fn normalized_dims(input: &mut Input<'_>) -> Result<usize, String> {
    let expected = "a number of dimensions of x, at least 1";
    let dims = number(input, "normalized_dims", expected, |dims| dims > 0)?;
    Ok(dims.unwrap_or(1))
}

pub(crate) fn num_groups(input: &mut Input<'_>) -> Result<usize, String> {
    required(input, "num_groups", "a whole number above 0", |n| n > 0)
}

/// The dimension of a weight that has its slices or rows.
pub(crate) fn dim(input: &mut Input<'_>) -> Result<usize, String> {
    let expected = "a dimension of the weight, counted from 0";
    Ok(number(input, "dim", expected, |_| true)?.unwrap_or(0))
}

/// How often a training step moves u.
pub(crate) fn power_iterations(input: &mut Input<'_>) -> Result<u32, String> {
    // Each takes several dispatches, all of which are recorded before the first one runs.
    let expected = "a whole number from 0 to 10000";
    let iterations = number(input, "power_iterations", expected, |n| n <= 10_000)?;
    Ok(iterations.unwrap_or(1))
}

pub(crate) fn eps(input: &mut Input<'_>, default: f64) -> Result<f64, String> {
    // The kernels calculate with eps as an f32, in which a tiny one is 0.
    let in_range = |eps: f64| eps > 0.0 && (eps as f32).is_normal();
    let eps = number(input, "eps", "a positive number", in_range)?;
    Ok(eps.unwrap_or(default))
}

/// `r_max` and `d_max`.
pub(crate) fn limits(input: &mut Input<'_>) -> Result<(f64, f64), String> {
    let r_max = required(input, "r_max", "a number of at least 1", |r: f64| {
        r as f32 >= 1.0
    })?;
    let d_max = required(input, "d_max", "a number of at least 0", |d: f64| d >= 0.0)?;
    Ok((r_max, d_max))
}

pub(crate) fn momentum(input: &mut Input<'_>) -> Result<Momentum, String> {
    let Some(value) = input.take_metadata("momentum") else {
        return Ok(Momentum::NewWeight(0.1));
    };
    if value == "cumulative" {
        return Ok(Momentum::Cumulative);
    }
    let weight = value.parse().ok();
    match weight.filter(|weight| (0.0..=1.0).contains(weight)) {
        Some(weight) => Ok(Momentum::NewWeight(weight)),
        None => Err(unexpected(
            "momentum",
            "a number from 0 to 1 or cumulative",
            &value,
        )),
    }
}

pub(crate) fn running_variance(input: &mut Input<'_>) -> Result<RunningVariance, String> {
    let variances = [
        ("unbiased", RunningVariance::Unbiased),
        ("biased", RunningVariance::Biased),
    ];
    choice(input, "running_var", &variances)
}

/// The device counts in 32 bits, and the step needs room for one more.
pub(crate) fn num_batches_tracked(input: &mut Input<'_>) -> Result<u32, String> {
    let range = "a whole number from 0 to 4294967294";
    let tracked = number(input, "num_batches_tracked", range, |n| n < u32::MAX)?;
    Ok(tracked.unwrap_or(0))
}

/// What follows the norm, and the residual where there is one.
pub(crate) fn activation(input: &mut Input<'_>) -> Result<Activation, String> {
    let choices = [("none", Activation::None), ("relu", Activation::Relu)];
    choice(input, "activation", &choices)
}

/// One of some words; the first of them where the file does not say.
fn choice<T: Copy>(input: &mut Input<'_>, key: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let Some(value) = input.take_metadata(key) else {
        return Ok(choices[0].1);
    };
    let chosen = choices.iter().find(|(word, _)| *word == value);
    chosen.map(|(_, choice)| *choice).ok_or_else(|| {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        unexpected(key, &words.join(" or "), &value)
    })
}

fn required<T: Copy + std::str::FromStr>(
    input: &mut Input<'_>,
    key: &str,
    expected: &str,
    in_range: impl Fn(T) -> bool,
) -> Result<T, String> {
    number(input, key, expected, in_range)?
        .ok_or_else(|| format!("metadata: {key} is missing, expected {expected}"))
}

fn number<T: Copy + std::str::FromStr>(
    input: &mut Input<'_>,
    key: &str,
    expected: &str,
    in_range: impl Fn(T) -> bool,
) -> Result<Option<T>, String> {
    let Some(value) = input.take_metadata(key) else {
        return Ok(None);
    };
    match value.parse().ok().filter(|number| in_range(*number)) {
        Some(number) => Ok(Some(number)),
        None => Err(unexpected(key, expected, &value)),
    }
}

fn unexpected(key: &str, expected: &str, got: &str) -> String {
    format!("{key}: expected {expected}, got {got:?}")
}
