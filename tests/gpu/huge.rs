//! Tensors of real sizes beyond one binding: 300 MiB, a million channels, and a plane of 2^25 + 1
//! elements. All statistics are held against float64; y and dx on a stride and at every place where
//! a window may begin.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use wgnorm::functional::{self, Backward, Forward, Running};
use wgnorm::{BatchNormOptions, DType, Device, Mode, Shape, Statistics, Tensor, View};

use crate::device;

/// The bounds of the suite: y, dx and rstd by their sizes, and sums by those of their terms.
const L2: f64 = 3e-7;
const SUM: f64 = 2e-7;

/// A tensor of more than one binding with its channels in a view of [outer][count][inner].
struct Huge {
    shape: Shape,
    options: BatchNormOptions,
    view: View,
}

/// The sums of each channel that everything else follows from.
#[derive(Default)]
struct Sums {
    mean: Vec<f64>,
    var: Vec<f64>,
    dbeta: Vec<f64>,
    dbeta_terms: Vec<f64>,
    dgamma: Vec<f64>,
    dgamma_terms: Vec<f64>,
}

/// What came out of the GPU.
struct Outputs {
    y: Vec<f32>,
    dx: Vec<f32>,
    state: Vec<f32>,
    running_mean: Vec<f32>,
    running_var: Vec<f32>,
    tracked: u32,
    dgamma: Vec<f32>,
    dbeta: Vec<f32>,
}

/// One at a time: each of these tests takes gigabytes.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A value in -1..1 for every index, as random as a good mixer makes it, and cheap.
fn noise(i: usize, seed: u64) -> f32 {
    let mut z = (i as u64)
        .wrapping_add(seed)
        .wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    (z >> 40) as f32 / (1 << 23) as f32 - 1.0
}

fn digits(errors: &[f64]) -> String {
    let each: Vec<String> = errors.iter().map(|error| format!("{error:.1e}")).collect();
    each.join(" ")
}

impl Huge {
    fn new(shape: &[usize], channel_axis: usize) -> Self {
        let shape = Shape::from(shape);
        let view = View::channels(&shape, channel_axis).unwrap();
        let options = BatchNormOptions {
            channel_axis,
            ..BatchNormOptions::default()
        };
        Self {
            shape,
            options,
            view,
        }
    }

    fn channel(&self, i: usize) -> usize {
        i / self.view.inner % self.view.count
    }

    /// Calls `with` the channel and index of every element, without a division for each.
    fn for_each(&self, mut with: impl FnMut(usize, usize)) {
        let View {
            outer,
            count,
            inner,
            ..
        } = self.view;
        for row in 0..outer * count {
            let c = row % count;
            for i in row * inner..(row + 1) * inner {
                with(c, i);
            }
        }
    }

    /// Channels of several means and widths, and a drift along the tensor that tells windows apart.
    fn x(&self) -> Vec<f32> {
        let mut x = vec![0.0; self.shape.numel()];
        let drift = 1.0 / x.len() as f32;
        self.for_each(|c, i| {
            let c = (c % 7) as f32;
            x[i] = (1.0 + 0.3 * c) * noise(i, 1) + c - 2.5 + i as f32 * drift;
        });
        x
    }

    fn dy(&self) -> Vec<f32> {
        (0..self.shape.numel())
            .map(|i| noise(i, 1 << 60) + 0.25)
            .collect()
    }

    fn sums(&self, x: &[f32], dy: &[f32]) -> Sums {
        let (count, n) = (self.view.count, self.view.slot_len() as f64);
        let zeros = || vec![0.0; count];
        let (mut mean, mut var) = (zeros(), zeros());
        let (mut dbeta, mut dbeta_terms) = (zeros(), zeros());
        let (mut dgamma, mut dgamma_terms) = (zeros(), zeros());
        self.for_each(|c, i| mean[c] += f64::from(x[i]));
        for mean in &mut mean {
            *mean /= n;
        }
        self.for_each(|c, i| {
            let (off, dy) = (f64::from(x[i]) - mean[c], f64::from(dy[i]));
            var[c] += off * off;
            dbeta[c] += dy;
            dbeta_terms[c] += dy.abs();
            dgamma[c] += dy * off;
            dgamma_terms[c] += (dy * off).abs();
        });
        for c in 0..count {
            var[c] /= n;
            let rstd = 1.0 / (var[c] + self.options.eps).sqrt();
            dgamma[c] *= rstd;
            dgamma_terms[c] *= rstd;
        }
        Sums {
            mean,
            var,
            dbeta,
            dbeta_terms,
            dgamma,
            dgamma_terms,
        }
    }

    /// A forward in training and its backward.
    fn run(&self, device: &Device, x: &[f32], dy: &[f32], gamma: &[f32]) -> Outputs {
        let count = self.view.count;
        let full = || device.empty(&self.shape, DType::F32).unwrap();
        let vector = |values: &[f32]| device.upload(values, [count]).unwrap();
        let nan = vec![f32::NAN; count];
        let (x, dy) = (
            device.upload(x, &self.shape).unwrap(),
            device.upload(dy, &self.shape).unwrap(),
        );
        let (y, dx, gamma) = (full(), full(), vector(gamma));
        let (mean, var) = (vector(&vec![0.5; count]), vector(&vec![2.0; count]));
        let (dgamma, dbeta) = (vector(&nan), vector(&nan));
        let tracked = device.upload(&[6u32], [1]).unwrap();
        let len = functional::state_len(device, &self.shape, &self.options).unwrap();
        let state = device.empty([len], DType::F32).unwrap();
        let forward = Forward {
            state: Some(&state),
            gamma: Some(&gamma),
            running: Some(Running {
                mean: &mean,
                var: &var,
                num_batches_tracked: Some(&tracked),
            }),
            ..Forward::new(&x, &y)
        };
        let backward = Backward {
            gamma: Some(&gamma),
            dx: Some(&dx),
            dgamma: Some(&dgamma),
            dbeta: Some(&dbeta),
            ..Backward::new(&x, &dy, &state)
        };
        let mut recorder = device.recorder();
        functional::forward(&mut recorder, &forward, &self.options, Mode::TRAIN).unwrap();
        functional::backward(&mut recorder, &backward, &self.options, Statistics::Batch).unwrap();
        recorder.submit().unwrap();
        let get = |tensor: &Tensor| device.download::<f32>(tensor).unwrap();
        Outputs {
            y: get(&y),
            dx: get(&dx),
            state: get(&state),
            running_mean: get(&mean),
            running_var: get(&var),
            tracked: device.download::<u32>(&tracked).unwrap()[0],
            dgamma: get(&dgamma),
            dbeta: get(&dbeta),
        }
    }

    /// A stride through the tensor that meets every residue, and some elements at each row's and each
    /// possible window's edge.
    fn samples(&self, max: usize) -> Vec<usize> {
        let len = self.shape.numel();
        let mut samples: Vec<usize> = (0..len).step_by(997).collect();
        let row = self.view.count * self.view.inner;
        let edges = [
            max,
            max - 64,
            max / row * row,
            max / self.view.inner * self.view.inner,
        ];
        for edge in edges.into_iter().filter(|&edge| edge > 0) {
            for at in (0..=len).step_by(edge) {
                samples.extend((at.saturating_sub(2000)..at + 2000).filter(|&i| i < len));
            }
        }
        samples
    }

    fn check(&self) {
        let Some(device) = &device() else { return };
        let _alone = alone();
        let start = Instant::now();
        let (x, dy) = (self.x(), self.dy());
        let want = self.sums(&x, &dy);
        let gamma: Vec<f32> = (0..self.view.count)
            .map(|c| 1.0 + 0.1 * noise(c, 3))
            .collect();
        let (oracle, running) = (start.elapsed(), Instant::now());
        let got = self.run(device, &x, &dy, &gamma);
        let ran = running.elapsed();
        let statistics = self.check_statistics(&got, &want);
        let max = device.limits().max_binding_bytes.min(1 << 32) as usize / 4;
        let elements = self.check_elements(&self.samples(max), (&x, &dy, &gamma), &got, &want);
        device.release_pooled_memory();
        println!(
            "{}: oracle {oracle:.1?}, run {ran:.1?}; mean, rstd, dbeta, dgamma {}, \
             y, dx {}",
            self.shape,
            digits(&statistics),
            digits(&elements)
        );
    }

    /// The errors of mean, rstd, dbeta and dgamma.
    fn check_statistics(&self, got: &Outputs, want: &Sums) -> [f64; 4] {
        assert_eq!(got.tracked, 7, "{}: batches", self.shape);
        let n = self.view.slot_len() as f64;
        let mut errors = [const { Vec::new() }; 4];
        for c in 0..self.view.count {
            let saved = &got.state[4 * (1 + c)..][..4];
            let mean = f64::from(saved[0]) + f64::from(saved[1]);
            let size = want.mean[c].abs() + want.var[c].sqrt();
            let rstd = 1.0 / (want.var[c] + self.options.eps).sqrt();
            errors[0].push((mean - want.mean[c]) / size);
            errors[1].push(f64::from(saved[2]) / rstd - 1.0);
            errors[2].push((f64::from(got.dbeta[c]) - want.dbeta[c]) / want.dbeta_terms[c]);
            errors[3].push((f64::from(got.dgamma[c]) - want.dgamma[c]) / want.dgamma_terms[c]);
            let unbiased = want.var[c] * n / (n - 1.0);
            let running = [0.45 + 0.1 * want.mean[c], 1.8 + 0.1 * unbiased];
            let off = f64::from(got.running_mean[c]) - running[0];
            assert!(
                off.abs() < SUM * (size + 0.5),
                "{}: running_mean[{c}]",
                self.shape
            );
            let off = f64::from(got.running_var[c]) / running[1] - 1.0;
            assert!(off.abs() < L2, "{}: running_var[{c}]", self.shape);
        }
        self.hold(&errors)
    }

    /// Holds the errors of every channel against their bounds and gives the worst of each kind.
    fn hold(&self, errors: &[Vec<f64>; 4]) -> [f64; 4] {
        let worst = errors.each_ref().map(|errors| {
            let largest = |worst: f64, error: &f64| worst.max(error.abs());
            assert!(errors.iter().all(|error| error.is_finite()));
            errors.iter().fold(0.0, largest)
        });
        let mean_square = |errors: &Vec<f64>| {
            let squares: f64 = errors.iter().map(|error| error * error).sum();
            (squares / errors.len() as f64).sqrt()
        };
        let all = errors.each_ref().map(mean_square);
        // As in the suite: the worst of a million channels of a few values has more than the bound
        // where a plain f32 sum in sequence has it too.
        let few = self.view.slot_len() < 256;
        for (i, bound) in [SUM, L2, SUM, SUM].into_iter().enumerate() {
            let one = if few || i == 1 { 5e-7 } else { bound };
            assert!(
                all[i] < bound && worst[i] < one,
                "{}: {}",
                self.shape,
                digits(&worst)
            );
        }
        worst
    }

    /// The relative L2 errors of y and dx, over the samples.
    fn check_elements(
        &self,
        samples: &[usize],
        (x, dy, gamma): (&[f32], &[f32], &[f32]),
        got: &Outputs,
        want: &Sums,
    ) -> [f64; 2] {
        let n = self.view.slot_len() as f64;
        let mut squares = [[0.0f64; 2]; 2];
        for &i in samples {
            let c = self.channel(i);
            let rstd = 1.0 / (want.var[c] + self.options.eps).sqrt();
            let (gamma, dy) = (f64::from(gamma[c]), f64::from(dy[i]));
            let xhat = (f64::from(x[i]) - want.mean[c]) * rstd;
            let dx = gamma * rstd * (dy - want.dbeta[c] / n - xhat * want.dgamma[c] / n);
            let pairs = [(got.y[i], gamma * xhat), (got.dx[i], dx)];
            for ([error, size], (got, want)) in squares.iter_mut().zip(pairs) {
                // One wrong value among millions must not drown in their norm.
                let off = f64::from(got) - want;
                assert!(
                    off.abs() < 1e-5,
                    "{}: element {i} is {got}, not {want}",
                    self.shape
                );
                *error += off * off;
                *size += want * want;
            }
        }
        let errors = squares.map(|[error, size]| (error / size).sqrt());
        assert!(
            errors.iter().all(|&error| error < L2),
            "{}: {}",
            self.shape,
            digits(&errors)
        );
        errors
    }
}

#[test]
fn three_hundred_mebibytes_with_the_channels_first() {
    Huge::new(&[75, 64, 128, 128], 1).check();
}

#[test]
fn three_hundred_mebibytes_with_the_channels_last() {
    Huge::new(&[75, 128, 128, 64], 3).check();
}

#[test]
fn three_hundred_mebibytes_of_straddling_words() {
    Huge::new(&[524, 50, 3001], 1).check();
}

#[test]
fn a_million_channels_first() {
    Huge::new(&[5, 1 << 20, 8], 1).check();
}

#[test]
fn a_million_channels_last() {
    Huge::new(&[40, 1 << 20], 1).check();
}

#[test]
fn a_plane_above_one_binding() {
    Huge::new(&[1, 1, (1 << 25) + 1], 1).check();
    Huge::new(&[1, 2, (1 << 25) + 1], 1).check();
}

#[test]
fn columns_above_one_binding() {
    Huge::new(&[(1 << 25) + 1, 2], 1).check();
}
