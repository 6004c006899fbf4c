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
        let first = self.level(recorder, 0)?;
        moments::partial(
            recorder,
            x,
            &state,
            Row::of(&first.rows, first.used),
            &options,
        )?;
        self.count_one(recorder)
    }

    /// Records the moments of all batches so far, `[C, 4]`: to be merged with another process's and
    /// given to [`moments::finalize`].
    pub fn moments(&self, recorder: &mut Recorder<'_>) -> Result<Tensor> {
        let device = recorder.device();
        let total = device.empty([self.channels(), 4], DType::F32)?;
        let used: Vec<Tensor> = self
            .levels
            .iter()
            .filter(|level| level.used > 0)
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

    /// The level of that number, which may be the first one more.
    fn level(&mut self, recorder: &Recorder<'_>, level: usize) -> Result<&Level> {
        if level == self.levels.len() {
            let shape = [ROWS, self.channels(), 4];
            let rows = recorder.device().empty(shape, DType::F32)?;
            self.levels.push(Level { rows, used: 0 });
        }
        Ok(&self.levels[level])
    }

    /// Counts the row that was just recorded: the rows of a full level become one of the next. What is
    /// recorded writes unused rows only, and all counts change at the end: a call that is refused leaves the
    /// batches before it as they are.
    fn count_one(&mut self, recorder: &mut Recorder<'_>) -> Result<()> {
        let mut full = 0;
        while self.levels[full].used + 1 == ROWS {
            let rows = self.levels[full].rows.clone();
            let next = self.level(recorder, full + 1)?;
            moments::merge(recorder, &[&rows], Row::of(&next.rows, next.used))?;
            full += 1;
        }
        self.levels[..full]
            .iter_mut()
            .for_each(|level| level.used = 0);
        self.levels[full].used += 1;
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
