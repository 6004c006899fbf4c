//! Independent trainings side by side, and what several of them say together.

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use indicatif::{ProgressBar, ProgressStyle};
use wgnorm::{Device, wgpu};

/// Does all jobs, as many at a time as there are cores: while one waits for the GPU, another
/// multiplies. The answers are in the order of the jobs and do not depend on the number of cores.
pub(crate) fn all<J: Sync, A: Send>(
    device: &Device,
    jobs: &[J],
    work: impl Fn(&J) -> Result<A, Box<dyn Error>> + Sync,
) -> Result<Vec<A>, Box<dyn Error>> {
    // The bar goes to standard error and is drawn on a terminal only.
    let bar = ProgressBar::new(jobs.len() as u64);
    bar.set_style(ProgressStyle::with_template(
        "{bar:40} {pos}/{len} trainings, {eta} left",
    )?);
    let next = AtomicUsize::new(0);
    let worker = || -> Result<Vec<(usize, A)>, String> {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(index) else {
                return Ok(done);
            };
            done.push((index, work(job).map_err(|error| error.to_string())?));
            bar.inc(1);
        }
    };
    // On GL, wgpu panics where one thread keeps another waiting for long.
    let cores = match device.wgpu_device().adapter_info().backend {
        wgpu::Backend::Gl => 1,
        _ => thread::available_parallelism().map_or(1, usize::from),
    };
    let answers: Result<Vec<_>, String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, _>| {
            worker
                .join()
                .unwrap_or_else(|_| Err("a training panicked".into()))
        };
        workers.into_iter().map(join).collect()
    });
    bar.finish_and_clear();
    let mut answers: Vec<(usize, A)> = answers?.into_iter().flatten().collect();
    answers.sort_by_key(|(index, _)| *index);
    Ok(answers.into_iter().map(|(_, answer)| answer).collect())
}

/// The mean of some measurements and their standard deviation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) mean: f32,
    pub(crate) spread: f32,
    /// How many there were.
    pub(crate) count: usize,
}

impl Measured {
    pub(crate) fn of(values: &[f32]) -> Self {
        let n = values.len() as f32;
        let mean = values.iter().sum::<f32>() / n;
        let squares = values.iter().map(|value| (value - mean).powi(2));
        let spread = (squares.sum::<f32>() / (n - 1.0).max(1.0)).sqrt();
        Self {
            mean,
            spread,
            count: values.len(),
        }
    }

    /// Whether the mean is larger than another's by more than twice the standard error of their
    /// difference, which chance alone seldom does.
    pub(crate) fn is_above(self, other: Self) -> bool {
        let error = |of: Self| of.spread / (of.count as f32).sqrt();
        self.mean - other.mean > 2.0 * error(self).hypot(error(other))
    }

    /// The same in percent, for a table.
    pub(crate) fn percent(self) -> String {
        format!("{:.1} ± {:.1}", 100.0 * self.mean, 100.0 * self.spread)
    }
}
