//! Running statistics of a set of batches, exactly.

use super::functional::Running;
use super::layer::RunningTensors;
use super::layers::BatchNorm;
use super::moments::{self, Row};
use super::options::{BatchNormOptions, Momentum};
use crate::gpu::{DType, Recorder, Tensor};
use crate::{Error, Result};

/// Moments that are merged at once: their sums stay short, however many batches there are.
const ROWS: usize = 32;

/// Sets a layer's running statistics to those of all batches that it is shown, as if they were one: for
/// averaged or changed weights, another data set, or after training with a momentum that forgets too
/// fast or too slowly.
///
/// Only moments are kept, `32 · 16 · C` bytes for each factor of 32 batches. An average of the batches'
/// variances would miss how their means differ, and that of a cumulative momentum would weigh a short
/// last batch as much as any.
///
/// ```no_run
/// use wgnorm::{BatchNorm, Device, Mode, Recalibration, Tensor};
///
/// /// `batches` are the inputs of the layer.
/// fn recalibrate(device: &Device, norm: &BatchNorm, batches: &[Tensor]) -> wgnorm::Result<()> {
///     let mut all = Recalibration::new(norm)?;
///     for x in batches {
///         let mut step = device.recorder();
///         all.add(&mut step, x)?;
///         let (_y, _) = norm.forward(&mut step, x, Mode::RECOMPUTE)?; // for the layers above it
///         step.submit()?;
///     }
///     let mut step = device.recorder();
///     all.finish(&mut step)?;
///     step.submit()
/// }
/// ```
#[derive(Debug)]
pub struct Recalibration {
    norm: BatchNorm,
    running: RunningTensors,
    /// Rows of moments: of batches, of runs of 32 of them, and so on.
    levels: Vec<Level>,
}

#[derive(Debug)]
struct Level {
    rows: Tensor,
    used: usize,
}

impl Recalibration {
    /// None of the layer's batches yet; fails for a layer without running statistics.
    pub fn new(norm: &BatchNorm) -> Result<Self> {
        let running = norm.running.clone().ok_or(Error::Missing {
            name: "running_mean",
            reason: "recalibration sets running statistics",
        })?;
        Ok(Self {
            norm: norm.clone(),
            running,
            levels: Vec::new(),
        })
    }

    /// Records the moments of one more batch; one that is empty counts as nothing. The recorder must be
    /// submitted, and before that of a later call.
    pub fn add(&mut self, recorder: &mut Recorder<'_>, x: &Tensor) -> Result<()> {
        self.norm.check(x)?;
        let options = self.norm.options;
        let len = moments::state_len(recorder.device(), x.shape(), &options)?;
        let state = recorder.device().empty([len], DType::F32)?;
        self.make_room(recorder, 0)?;
        let level = &mut self.levels[0];
        moments::partial(
            recorder,
            x,
            &state,
            Row::of(&level.rows, level.used),
            &options,
        )?;
        level.used += 1;
        Ok(())
    }

    /// Records the moments of all batches so far, `[C, 4]`: to be merged with another process's and
    /// given to [`moments::finalize`].
    pub fn moments(&self, recorder: &mut Recorder<'_>) -> Result<Tensor> {
        let device = recorder.device();
        let total = device.empty([self.channels(), 4], DType::F32)?;
        let used: Vec<Tensor> = self
            .levels
            .iter()
            .map(Level::used_rows)
            .collect::<Result<_>>()?;
        let used: Vec<&Tensor> = used.iter().collect();
        moments::merge(recorder, &used, &total)?;
        Ok(total)
    }

    /// Records the running statistics of all batches; `num_batches_tracked` stays. Without two values
    /// per channel they stay as they are.
    pub fn finish(self, recorder: &mut Recorder<'_>) -> Result<()> {
        let total = self.moments(recorder)?;
        let running = Running {
            mean: &self.running.mean,
            var: &self.running.var,
            num_batches_tracked: None,
        };
        let options = BatchNormOptions {
            momentum: Momentum::NewWeight(1.0),
            ..self.norm.options
        };
        moments::finalize(recorder, &total, Some(running), None, &options)
    }

    fn channels(&self) -> usize {
        self.running.mean.shape().numel()
    }

    /// Makes sure that the level has a row left: the rows of a full one become one of the next.
    fn make_room(&mut self, recorder: &mut Recorder<'_>, level: usize) -> Result<()> {
        if level == self.levels.len() {
            let rows = recorder
                .device()
                .empty([ROWS, self.channels(), 4], DType::F32)?;
            self.levels.push(Level { rows, used: 0 });
        }
        if self.levels[level].used < ROWS {
            return Ok(());
        }
        self.make_room(recorder, level + 1)?;
        let (full, next) = (self.levels[level].rows.clone(), &mut self.levels[level + 1]);
        moments::merge(recorder, &[&full], Row::of(&next.rows, next.used))?;
        next.used += 1;
        self.levels[level].used = 0;
        Ok(())
    }
}

impl Level {
    /// The rows that hold moments.
    fn used_rows(&self) -> Result<Tensor> {
        let channels = self.rows.shape().dims()[1];
        let len = self.used * channels * 4;
        let used = self.rows.window([0, len as u64]);
        used.reshape([self.used, channels, 4])
    }
}
