//! Takes samples of several things in turns.

use std::time::{Duration, Instant};

use wgnorm::wgpu;

use crate::Outcome;
use crate::clock::{Clock, Taken};

type Record<'a> = Box<dyn Fn(&mut wgpu::CommandEncoder, u32) -> wgnorm::Result<()> + 'a>;

/// One of the things that take turns.
pub(crate) struct Lane<'a> {
    record: Record<'a>,
    /// How often it is repeated within one sample, so that the sample is long enough to measure.
    times: u32,
    taken: Vec<Taken>,
}

/// How many samples to take.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Samples {
    /// So many, with this many repetitions in each; no more than one warms up.
    Once,
    /// Exactly so many.
    Exactly(u32),
    /// At least 9, and up to 31 while they are quick to get.
    Enough,
}

const FEWEST: usize = 9;
const MOST: usize = 31;
/// What the samples of one case beyond the fewest may take.
const BUDGET: Duration = Duration::from_millis(1500);
/// A sample that is shorter says more about the clock than about what it measures.
const LONG_ENOUGH_NS: f64 = 1e6;
const MOST_TIMES: u32 = 1000;

impl<'a> Lane<'a> {
    /// `record` records its work so many times, each after the one before.
    pub(crate) fn new(
        record: impl Fn(&mut wgpu::CommandEncoder, u32) -> wgnorm::Result<()> + 'a,
    ) -> Self {
        Self {
            record: Box::new(record),
            times: 1,
            taken: Vec::new(),
        }
    }

    /// A lane whose work is long enough as it is.
    pub(crate) fn sample(&self, clock: &Clock) -> Outcome<Taken> {
        let times = f64::from(self.times);
        let taken = clock.time(|encoder| (self.record)(encoder, self.times))?;
        Ok(Taken {
            gpu: taken.gpu.map(|gpu| gpu / times),
            wall: taken.wall / times,
        })
    }

    /// Warms up, and finds out how many repetitions make a sample long enough.
    fn prepare(&mut self, clock: &Clock) -> Outcome {
        self.sample(clock)?;
        for _ in 0..4 {
            let one = self.sample(clock)?.best().max(1.0);
            if one * f64::from(self.times) >= LONG_ENOUGH_NS || self.times == MOST_TIMES {
                break;
            }
            // A little more than is needed, or the next look would want one more.
            let needed = (1.1 * LONG_ENOUGH_NS / one).ceil() as u32;
            self.times = needed.clamp(self.times, MOST_TIMES);
        }
        Ok(())
    }

    /// The samples in nanoseconds.
    pub(crate) fn samples(&self) -> Vec<f64> {
        self.taken.iter().map(|taken| taken.best()).collect()
    }

    pub(crate) fn median(&self) -> f64 {
        median(self.samples())
    }

    pub(crate) fn median_wall(&self) -> f64 {
        median(self.taken.iter().map(|taken| taken.wall).collect())
    }
}

/// Lets the lanes take turns until there are enough samples of each; `tick` is told of each round.
pub(crate) fn take_turns(clock: &Clock, lanes: &mut [Lane<'_>], samples: Samples) -> Outcome {
    if !matches!(samples, Samples::Once) {
        for lane in &mut *lanes {
            lane.prepare(clock)?;
        }
    }
    let begun = Instant::now();
    for round in 0.. {
        let enough = match samples {
            Samples::Once => round >= 1,
            Samples::Exactly(count) => round >= count as usize,
            Samples::Enough => round >= MOST || round >= FEWEST && begun.elapsed() > BUDGET,
        };
        if enough {
            break;
        }
        for lane in &mut *lanes {
            let taken = lane.sample(clock)?;
            lane.taken.push(taken);
        }
    }
    Ok(())
}

/// The middle value, or the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}
