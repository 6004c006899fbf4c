//! What a file says about running statistics.

use wgnorm::{Error, Mode, Momentum, RunningVariance, Statistics, View};

use crate::file::{Input, Values};
use crate::keys;
use crate::tensors::{Tensors, expect_per_channel};

/// The running statistics before the step.
pub(crate) struct Running {
    pub(crate) mean: Values,
    pub(crate) var: Values,
}

/// How a norm uses running statistics and moves them, with those that there are.
pub(crate) struct Averages {
    pub(crate) train: bool,
    statistics: Statistics,
    pub(crate) momentum: Momentum,
    pub(crate) variance: RunningVariance,
    pub(crate) num_batches_tracked: u32,
    pub(crate) running: Option<Running>,
}

impl Averages {
    pub(crate) fn take(input: &mut Input<'_>) -> Result<Self, String> {
        let train = keys::train(input)?;
        Ok(Self {
            train,
            statistics: keys::statistics(input, train)?,
            momentum: keys::momentum(input)?,
            variance: keys::running_variance(input)?,
            num_batches_tracked: keys::num_batches_tracked(input)?,
            running: Running::take(input)?,
        })
    }

    pub(crate) fn mode(&self) -> Mode {
        Mode {
            statistics: self.statistics,
            update_running: self.train && self.running.is_some(),
        }
    }

    /// Checks them against x, whose statistics are those of the slots of `view`.
    pub(crate) fn check(&self, tensors: &Tensors, view: View) -> Result<(), String> {
        if let Some(Running { mean, var }) = &self.running {
            for (name, values) in [("running_mean", mean), ("running_var", var)] {
                expect_per_channel(name, Some(values), view.count, &tensors.x)?;
            }
        }
        let mode = self.mode();
        if mode.statistics == Statistics::Running && self.running.is_none() {
            return Err(missing("statistics = running normalizes by them"));
        }
        let needs_batch = mode.statistics == Statistics::Batch || mode.update_running;
        // How many of them a mask leaves is known only when it runs.
        if needs_batch && view.slot_len() == 1 && tensors.mask.is_none() {
            let shape = tensors.shape();
            return Err(Error::OneValuePerChannel { shape }.to_string());
        }
        Ok(())
    }
}

pub(crate) fn missing(reason: &str) -> String {
    format!("running_mean is missing, and running_var with it: {reason}")
}

impl Running {
    fn take(input: &mut Input<'_>) -> Result<Option<Self>, String> {
        let mean = input.take_tensor("running_mean")?;
        let var = input.take_tensor("running_var")?;
        match (mean, var) {
            (Some(mean), Some(var)) => Ok(Some(Self { mean, var })),
            (None, None) => Ok(None),
            (Some(_), None) => Err("running_var is missing, but running_mean is there".into()),
            (None, Some(_)) => Err("running_mean is missing, but running_var is there".into()),
        }
    }
}
