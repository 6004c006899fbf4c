//! What a file asks for: every entry with its default, checked before anything runs.

use wgnorm::{BatchNormOptions, Error, Mode, Momentum, RunningVariance, Shape, Statistics, View};

use crate::file::{Input, Values};

/// One batch norm, ready to run.
pub(crate) struct Case {
    pub(crate) train: bool,
    pub(crate) mode: Mode,
    pub(crate) options: BatchNormOptions,
    pub(crate) channels: usize,
    pub(crate) num_batches_tracked: u32,
    pub(crate) x: Values,
    pub(crate) dy: Option<Values>,
    pub(crate) weight: Option<Values>,
    pub(crate) bias: Option<Values>,
    pub(crate) running: Option<Running>,
}

/// The running statistics before the step.
pub(crate) struct Running {
    pub(crate) mean: Values,
    pub(crate) var: Values,
}

const OPS: [&str; 8] = [
    "batch_norm",
    "layer_norm",
    "rms_norm",
    "group_norm",
    "instance_norm",
    "batch_renorm",
    "weight_norm",
    "spectral_norm",
];

impl Case {
    pub(crate) fn parse(mut input: Input<'_>) -> Result<Self, String> {
        let op = op(&mut input)?;
        let train = choice(&mut input, "mode", &[("train", true), ("eval", false)])?;
        let statistics = statistics(&mut input, train)?;
        let options = options(&mut input)?;
        let num_batches_tracked = num_batches_tracked(&mut input)?;
        choice(
            &mut input,
            "activation",
            &[("none", Ok(())), ("relu", Err(()))],
        )?
        .map_err(|()| "activation: \"relu\" is not supported yet".to_owned())?;
        for later in ["residual", "mask"] {
            if input.has_tensor(later) {
                return Err(format!("{later}: this tensor is not supported yet"));
            }
        }
        let x = input.take_tensor("x")?.ok_or("x is missing")?;
        let dy = input.take_tensor("dy")?;
        let weight = input.take_tensor("weight")?;
        let bias = input.take_tensor("bias")?;
        let running = running(&mut input)?;
        input.finish(op)?;
        let mut case = Self {
            train,
            mode: Mode {
                statistics,
                update_running: train && running.is_some(),
            },
            options,
            channels: 0,
            num_batches_tracked,
            x,
            dy,
            weight,
            bias,
            running,
        };
        case.channels = case.checked_channels()?;
        Ok(case)
    }

    /// Checks how the tensors fit each other, and tells the number of channels.
    fn checked_channels(&self) -> Result<usize, String> {
        let shape = Shape::from(self.x.shape.as_slice());
        let view = View::channels(&shape, self.options.channel_axis).map_err(|e| e.to_string())?;
        if let Some(dy) = self.dy.as_ref().filter(|dy| dy.shape != self.x.shape) {
            let got = &dy.shape;
            return Err(format!("dy: expected x's shape {shape}, got {got:?}"));
        }
        let running = self.running.as_ref();
        for (name, values) in [
            ("weight", self.weight.as_ref()),
            ("bias", self.bias.as_ref()),
            ("running_mean", running.map(|running| &running.mean)),
            ("running_var", running.map(|running| &running.var)),
        ] {
            if let Some(values) = values.filter(|values| values.data.len() != view.count) {
                let (channels, got) = (view.count, &values.shape);
                return Err(format!(
                    "{name}: expected {channels} elements, one per channel of x {shape}, got {got:?}"
                ));
            }
        }
        if self.mode.statistics == Statistics::Running && running.is_none() {
            let message = "running_mean is missing, and running_var with it: statistics = running \
                           normalizes by them";
            return Err(message.into());
        }
        let needs_batch = self.mode.statistics == Statistics::Batch || self.mode.update_running;
        if needs_batch && view.slot_len() == 1 {
            return Err(Error::OneValuePerChannel { shape }.to_string());
        }
        Ok(view.count)
    }
}

fn op(input: &mut Input<'_>) -> Result<&'static str, String> {
    let op = input.take_metadata("op").ok_or("metadata: op is missing")?;
    match OPS.into_iter().find(|known| *known == op) {
        Some(known @ "batch_norm") => Ok(known),
        Some(later) => Err(format!("op: {later} is not supported yet")),
        None => Err(format!(
            "op: expected one of {}, got {op:?}",
            OPS.join(", ")
        )),
    }
}

fn statistics(input: &mut Input<'_>, train: bool) -> Result<Statistics, String> {
    let batch = ("batch", Statistics::Batch);
    let running = ("running", Statistics::Running);
    let choices = if train {
        [batch, running]
    } else {
        [running, batch]
    };
    choice(input, "statistics", &choices)
}

fn options(input: &mut Input<'_>) -> Result<BatchNormOptions, String> {
    let defaults = BatchNormOptions::default();
    let axis = "a dimension of x, counted from 0";
    let channel_axis = number(input, "channel_axis", axis, |_| true)?;
    // The kernels calculate with eps as an f32, in which a tiny one is 0.
    let in_range = |eps: f64| eps as f32 > 0.0 && (eps as f32).is_finite();
    let eps = number(input, "eps", "a positive number", in_range)?;
    let variances = [
        ("unbiased", RunningVariance::Unbiased),
        ("biased", RunningVariance::Biased),
    ];
    Ok(BatchNormOptions {
        channel_axis: channel_axis.unwrap_or(defaults.channel_axis),
        eps: eps.unwrap_or(defaults.eps),
        momentum: momentum(input)?,
        running_variance: choice(input, "running_var", &variances)?,
        ..defaults
    })
}

fn momentum(input: &mut Input<'_>) -> Result<Momentum, String> {
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

/// The device counts in 32 bits, and the step needs room for one more.
fn num_batches_tracked(input: &mut Input<'_>) -> Result<u32, String> {
    let range = "a whole number from 0 to 4294967294";
    let tracked = number(input, "num_batches_tracked", range, |n| n < u32::MAX)?;
    Ok(tracked.unwrap_or(0))
}

fn running(input: &mut Input<'_>) -> Result<Option<Running>, String> {
    let mean = input.take_tensor("running_mean")?;
    let var = input.take_tensor("running_var")?;
    match (mean, var) {
        (Some(mean), Some(var)) => Ok(Some(Running { mean, var })),
        (None, None) => Ok(None),
        (Some(_), None) => Err("running_var is missing, but running_mean is there".into()),
        (None, Some(_)) => Err("running_mean is missing, but running_var is there".into()),
    }
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
