//! A case of any norm held against float64.

use wgnorm::{DType, Device};

use crate::bounds::{Errors, SUM, SUM_L2, hold_all, l2, worst};
use crate::family_case::{Case, Expected, Inputs, Norm, Values};
use crate::family_oracle::weight_of;
use crate::stored::hold_rounded;

/// y, dx, rstd and running variance: relative L2.
const L2: f64 = 3e-7;

fn add(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a.abs() + b.abs()).collect()
}

impl Case {
    /// Runs the case on random inputs and holds every output against its bound.
    pub(crate) fn check(&self, device: &Device) -> Errors {
        self.check_with(device, &self.inputs())
    }

    pub(crate) fn check_with(&self, device: &Device, inputs: &Inputs) -> Errors {
        let got = self.run(device, inputs);
        let expected = self.expected_with_tail(inputs, &got.y);
        self.hold_forward(&got, &expected)
            .max(self.hold_backward(inputs, &got, &expected))
    }

    /// y and the statistics; y's error is by its size alone where it is f32, before relu took away what a
    /// shift made negative.
    fn hold_forward(&self, got: &Values<f32>, expected: &Expected) -> Errors {
        let want = &expected.values;
        let y = if self.dtype == DType::F32 {
            l2(&got.y, &want.y, &expected.before)
        } else {
            // By the largest of the factors, whoever has which.
            let most = |values: &[f64]| values.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
            let shifted: Vec<f64> = want
                .mean
                .iter()
                .zip(&want.rstd)
                .map(|(m, r)| m * r)
                .collect();
            let room = 0.5 + 1.5 * (1.0 + most(&shifted));
            let y_sizes: Vec<f64> = want.y.iter().map(|y| y.abs() + room).collect();
            hold_rounded(self, "y", (&got.y, &want.y, &y_sizes), self.dtype);
            0.0
        };
        let mean_sizes = add(&want.mean, &expected.std);
        let mean = worst(&got.mean, &want.mean, &mean_sizes);
        let rstd = l2(&got.rstd, &want.rstd, &want.rstd);
        let running = add(&want.running_mean, &self.spread(want));
        let running_mean = worst(&got.running_mean, &want.running_mean, &running);
        let running_var = l2(&got.running_var, &want.running_var, &want.running_var);
        let errors = [
            ("y", (y, L2)),
            ("mean", (mean, SUM)),
            ("rstd", (rstd, L2)),
            ("running_mean", (running_mean, SUM)),
            ("running_var", (running_var, L2)),
        ];
        hold_all(self, &errors);
        Errors {
            y,
            mean,
            rstd,
            running: running_mean.max(running_var),
            ..Errors::default()
        }
    }

    /// How far apart the values of each channel are, for a running mean: by about 1 in one statistic, and
    /// where a running mean follows the average over samples by the deviation of their means.
    fn spread(&self, want: &Values<f64>) -> Vec<f64> {
        let Norm::Instance(options) = &self.norm else {
            return vec![1.0; want.running_mean.len()];
        };
        let channels = self.shape.dims()[options.channel_axis];
        let samples = want.mean.len() as f64 / channels as f64;
        let weight = weight_of(options.momentum);
        let of = |c: usize| -> f64 {
            let means = want.mean.iter().skip(c).step_by(channels);
            means.map(|mean| mean * mean).sum()
        };
        (0..channels)
            .map(|c| 1.0 + weight * (of(c) / samples).sqrt())
            .collect()
    }

    /// The gradients that are wanted.
    fn hold_backward(&self, inputs: &Inputs, got: &Values<f32>, expected: &Expected) -> Errors {
        let (want, terms, wanted) = (&expected.values, &expected.terms, self.gradients());
        assert!(
            got.dresidual
                .iter()
                .zip(&want.dresidual)
                .all(|(&got, &want)| f64::from(got) == want),
            "{self:?}: dresidual is not dy where it passed"
        );
        let valid = inputs.mask.iter().filter(|&&valid| valid != 0).count();
        let n = match self.mask {
            Some(_) => valid,
            None => self.shape.numel() / want.mean.len().max(1),
        };
        // With few values for each statistic most of dy is taken out again, so dx cancels.
        let dx_sizes = if n < 16 { &terms.dx } else { &want.dx };
        // A gain of few elements has an xhat that may be near 0, whose error is by x.
        let gains = if terms.dbeta.is_empty() {
            terms.dgamma.clone()
        } else {
            add(&terms.dgamma, &terms.dbeta)
        };
        let mut dx = 0.0;
        if wanted.dx && self.dtype == DType::F32 {
            dx = l2(&got.dx, &want.dx, dx_sizes);
        } else if wanted.dx {
            hold_rounded(self, "dx", (&got.dx, &want.dx, &terms.dx), self.dtype);
        }
        let [mut dgamma, mut worst_gain, mut dbeta, mut worst_offset] = [0.0; 4];
        if wanted.dgamma {
            dgamma = l2(&got.dgamma, &want.dgamma, &terms.dgamma);
            worst_gain = worst(&got.dgamma, &want.dgamma, &gains);
        }
        if wanted.dbeta {
            dbeta = l2(&got.dbeta, &want.dbeta, &terms.dbeta);
            worst_offset = worst(&got.dbeta, &want.dbeta, &terms.dbeta);
        }
        // Of a single row the gains have one term each, all of them off by what its rstd is.
        let is_row = matches!(self.norm, Norm::Layer(_) | Norm::Rms(_)) && want.mean.len() == 1;
        let errors = [
            ("dx", (dx, L2)),
            ("dgamma", (dgamma, if is_row { L2 } else { SUM })),
            ("dgamma's worst", (worst_gain, SUM_L2)),
            ("dbeta", (dbeta, SUM)),
            ("dbeta's worst", (worst_offset, one_of(got.dbeta.len()))),
        ];
        hold_all(self, &errors);
        Errors {
            dx,
            dgamma,
            dbeta: worst_offset,
            ..Errors::default()
        }
    }
}

/// The bound of each of so many sums: the worst of thousands lies further out, where 17 roundings of one
/// sum happen to agree (2.1e-7 was seen of 1,950).
fn one_of(sums: usize) -> f64 {
    if sums > 1000 { 5e-7 } else { SUM }
}
