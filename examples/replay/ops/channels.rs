//! The norms that have a weight and a bias for each channel.

use wgnorm::{
    BatchNormOptions, BatchRenormOptions, Error, GroupNormOptions, InstanceNormOptions, Shape,
    Statistics, View,
};

use super::Parsed;
use crate::file::Input;
use crate::keys;
use crate::mask;
use crate::running::{Averages, missing};
use crate::step::{Reports, Step};
use crate::tensors::Tensors;

pub(super) fn batch_norm(input: &mut Input<'_>) -> Parsed {
    let defaults = BatchNormOptions::default();
    let averages = Averages::take(input)?;
    let options = BatchNormOptions {
        channel_axis: keys::channel_axis(input)?,
        eps: keys::eps(input, defaults.eps)?,
        activation: keys::activation(input)?,
        momentum: averages.momentum,
        running_variance: averages.variance,
        ..defaults
    };
    let (mut tensors, view) = channels(input, View::channels, options.channel_axis)?;
    tensors.mask = mask::take(input, &tensors.x, options.channel_axis)?;
    averages.check(&tensors, view)?;
    let reports = Reports::of_batch(averages.train, view.count);
    Ok(Box::new(Step::averaged(
        options, tensors, averages, reports,
    )))
}

pub(super) fn batch_renorm(input: &mut Input<'_>) -> Parsed {
    let averages = Averages::take(input)?;
    let (r_max, d_max) = keys::limits(input)?;
    let defaults = BatchRenormOptions::default();
    let options = BatchRenormOptions {
        channel_axis: keys::channel_axis(input)?,
        eps: keys::eps(input, defaults.eps)?,
        activation: keys::activation(input)?,
        r_max,
        d_max,
        momentum: averages.momentum,
        running_variance: averages.variance,
        ..defaults
    };
    let (tensors, view) = channels(input, View::channels, options.channel_axis)?;
    if averages.running.is_none() {
        return Err(missing("batch renorm corrects towards them"));
    }
    averages.check(&tensors, view)?;
    let reports = Reports::of_batch(averages.train, view.count);
    Ok(Box::new(Step::averaged(
        options, tensors, averages, reports,
    )))
}

pub(super) fn instance_norm(input: &mut Input<'_>) -> Parsed {
    let defaults = InstanceNormOptions::default();
    let averages = Averages::take(input)?;
    let options = InstanceNormOptions {
        channel_axis: keys::channel_axis(input)?,
        eps: keys::eps(input, defaults.eps)?,
        activation: keys::activation(input)?,
        momentum: averages.momentum,
        running_variance: averages.variance,
        ..defaults
    };
    let (tensors, view) = channels(input, View::samples, options.channel_axis)?;
    averages.check(&tensors, view)?;
    let mode = averages.mode();
    if mode.statistics == Statistics::Running && mode.update_running {
        let message = "statistics: expected batch in training, since instance norm cannot normalize \
                       by running statistics and move them at once, got \"running\"";
        return Err(message.into());
    }
    let reports = Reports {
        statistics: None,
        averages: mode.update_running,
    };
    Ok(Box::new(Step::averaged(
        options, tensors, averages, reports,
    )))
}

pub(super) fn group_norm(input: &mut Input<'_>) -> Parsed {
    keys::train(input)?;
    let defaults = GroupNormOptions::default();
    let options = GroupNormOptions {
        groups: keys::num_groups(input)?,
        channel_axis: keys::channel_axis(input)?,
        eps: keys::eps(input, defaults.eps)?,
        activation: keys::activation(input)?,
        ..defaults
    };
    let (tensors, view) = channels(input, View::samples, options.channel_axis)?;
    if !view.count.is_multiple_of(options.groups) {
        let error = Error::Option {
            name: "num_groups",
            expected: "a divisor of the number of channels",
            got: format!("{} for {} channels", options.groups, view.count),
        };
        return Err(error.to_string());
    }
    Ok(Box::new(Step::plain(options, tensors)))
}

/// The tensors of x with so many parameters as it has channels, and its view.
fn channels(
    input: &mut Input<'_>,
    view: fn(&Shape, usize) -> wgnorm::Result<View>,
    axis: usize,
) -> Result<(Tensors, View), String> {
    let tensors = Tensors::take(input)?;
    let view = view(&tensors.shape(), axis).map_err(|error| error.to_string())?;
    tensors.expect_channels(view.count)?;
    Ok((tensors, view))
}
