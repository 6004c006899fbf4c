//! One forward and backward of a spectral norm on guarded tensors, and its float64 twin.

use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use wgnorm::spectral::functional::{self, Backward, Forward};
use wgnorm::{Device, DeviceClass, Shape, SpectralNormOptions, reference};

use crate::guarded::Guarded;

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) shape: Shape,
    pub(crate) options: SpectralNormOptions,
    pub(crate) iterations: u32,
    /// What the weight is multiplied by.
    pub(crate) scale: f64,
    pub(crate) seed: u64,
}

pub(crate) struct Inputs {
    pub(crate) weight: Vec<f32>,
    pub(crate) dw: Vec<f32>,
    pub(crate) u: Vec<f32>,
    pub(crate) v: Vec<f32>,
}

#[derive(Clone, Debug)]
pub(crate) struct Outputs {
    pub(crate) w: Vec<f32>,
    pub(crate) u: Vec<f32>,
    pub(crate) v: Vec<f32>,
    pub(crate) sigma: f32,
    pub(crate) dweight: Vec<f32>,
}

/// Relative L2 errors; sigma's is relative.
#[derive(Clone, Copy, Default)]
pub(crate) struct Errors {
    pub(crate) w: f64,
    pub(crate) u: f64,
    pub(crate) v: f64,
    pub(crate) sigma: f64,
    pub(crate) dweight: f64,
}

/// w and dweight; u, v and sigma.
const BOUND: f64 = 3e-7;

impl Case {
    pub(crate) fn new(shape: impl Into<Shape>, dim: usize, iterations: u32) -> Self {
        Self {
            shape: shape.into(),
            options: SpectralNormOptions {
                dim,
                ..SpectralNormOptions::default()
            },
            iterations,
            scale: 0.05,
            seed: 7,
        }
    }

    pub(crate) fn for_class(mut self, class: DeviceClass) -> Self {
        self.options.class = Some(class);
        self
    }

    fn rows(&self) -> usize {
        self.shape.dims()[self.options.dim]
    }

    pub(crate) fn inputs(&self) -> Inputs {
        let mut rng = Pcg64::seed_from_u64(self.seed);
        let mut normal = |n: usize, mean: f64| -> Vec<f64> {
            let sample = |_| {
                let value: f64 = StandardNormal.sample(&mut rng);
                value + mean
            };
            (0..n).map(sample).collect()
        };
        let (rows, numel) = (self.rows(), self.shape.numel());
        let scaled = |values: Vec<f64>, scale: f64| -> Vec<f32> {
            values.iter().map(|v| (v * scale) as f32).collect()
        };
        let unit = |values: Vec<f64>| {
            let norm = values.iter().map(|v| v * v).sum::<f64>().sqrt();
            scaled(values, 1.0 / norm)
        };
        // A mean of their own keeps u and v from being orthogonal to what they are multiplied with.
        let mut inputs = Inputs {
            weight: scaled(normal(numel, 0.2), self.scale),
            dw: scaled(normal(numel, 0.5), 1.0),
            u: unit(normal(rows, 0.5)),
            v: unit(normal(numel / rows, 0.5)),
        };
        if self.iterations == 0 {
            // A sigma of vectors that have nothing to do with the weight would be what rounding leaves.
            let trained = self.expected(&inputs, 2);
            inputs.u = scaled(trained.u, 1.0);
            inputs.v = scaled(trained.v, 1.0);
        }
        inputs
    }

    /// Runs the case, checks that inputs, canaries and poison are as they should be, and that a second
    /// run gives the same bits.
    pub(crate) fn run(&self, device: &Device, inputs: &Inputs) -> Outputs {
        let first = self.run_once(device, inputs);
        let again = self.run_once(device, inputs);
        assert!(first.bits() == again.bits(), "{self:?}: two runs differ");
        first
    }

    fn run_once(&self, device: &Device, inputs: &Inputs) -> Outputs {
        let [weight, dw] =
            [&inputs.weight, &inputs.dw].map(|values| Guarded::input(device, values, &self.shape));
        let [u, v] = [&inputs.u, &inputs.v].map(|values| Guarded::vector(device, values));
        let [w, dweight] = [(); 2].map(|()| Guarded::poisoned(device, &self.shape));
        let len = functional::saved_len(device, &self.shape, &self.options).unwrap();
        let saved = Guarded::poisoned(device, &Shape::from([len]));
        let forward = Forward {
            weight: &weight.tensor,
            w: &w.tensor,
            u: &u.tensor,
            v: &v.tensor,
            saved: &saved.tensor,
        };
        let backward = Backward {
            weight: &weight.tensor,
            dw: &dw.tensor,
            saved: &saved.tensor,
            dweight: &dweight.tensor,
        };
        let mut recorder = device.recorder();
        functional::forward(&mut recorder, &forward, &self.options, self.iterations).unwrap();
        functional::backward(&mut recorder, &backward, &self.options).unwrap();
        recorder.submit().unwrap();
        weight.expect_untouched(device, "weight");
        dw.expect_untouched(device, "dw");
        if self.iterations == 0 {
            u.expect_untouched(device, "u");
            v.expect_untouched(device, "v");
        }
        Outputs {
            w: w.output(device),
            u: u.output(device),
            v: v.output(device),
            sigma: f32::from_bits(saved.words(device)[0]),
            dweight: dweight.output(device),
        }
    }

    pub(crate) fn oracle(&self) -> reference::SpectralNorm<'_> {
        reference::SpectralNorm {
            shape: &self.shape,
            dim: self.options.dim,
            eps: self.options.eps,
        }
    }

    /// What float64 makes of the inputs in so many iterations.
    pub(crate) fn expected(&self, inputs: &Inputs, iterations: u32) -> reference::Spectral {
        let (u, v) = (wide(&inputs.u), wide(&inputs.v));
        let weight = wide(&inputs.weight);
        self.oracle()
            .forward(&weight, &u, Some(&v), iterations as usize)
    }

    /// Holds every output against float64.
    pub(crate) fn check(&self, device: &Device) -> Errors {
        let inputs = self.inputs();
        let got = self.run(device, &inputs);
        let (weight, dw) = (wide(&inputs.weight), wide(&inputs.dw));
        let want = self.expected(&inputs, self.iterations);
        let dweight = self.oracle().backward(&weight, &want.u, &want.v, &dw);
        // A weight of one row has no gradient: what is left of its terms is measured by them.
        let terms: Vec<f64> = dw.iter().map(|dw| dw / want.sigma).collect();
        let hold = |name: &str, error: f64| {
            assert!(error <= BOUND, "{self:?}: {name} is off by {error:.2e}");
            error
        };
        Errors {
            sigma: hold("sigma", (f64::from(got.sigma) / want.sigma - 1.0).abs()),
            v: hold("v", l2(&got.v, &want.v, &want.v)),
            u: hold("u", l2(&got.u, &want.u, &want.u)),
            w: hold("w", l2(&got.w, &want.w, &want.w)),
            dweight: hold("dweight", l2(&got.dweight, &dweight, &terms)),
        }
    }
}

impl std::fmt::Debug for Errors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            w,
            u,
            v,
            sigma,
            dweight,
        } = self;
        write!(
            f,
            "w {w:.1e}, u {u:.1e}, v {v:.1e}, sigma {sigma:.1e}, dweight {dweight:.1e}"
        )
    }
}

impl Errors {
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            w: self.w.max(other.w),
            u: self.u.max(other.u),
            v: self.v.max(other.v),
            sigma: self.sigma.max(other.sigma),
            dweight: self.dweight.max(other.dweight),
        }
    }
}

impl Outputs {
    pub(crate) fn bits(&self) -> Vec<u32> {
        let all = [&self.w, &self.u, &self.v, &self.dweight];
        let values = all.into_iter().flatten().chain([&self.sigma]);
        values.map(|value| value.to_bits()).collect()
    }
}

pub(crate) fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// The L2 error relative to the L2 norm of the sizes.
pub(crate) fn l2(got: &[f32], want: &[f64], sizes: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let square = |sum: f64, value: f64| sum + value * value;
    let differences = got
        .iter()
        .zip(want)
        .map(|(got, want)| f64::from(*got) - want);
    let size = sizes.iter().copied().fold(0.0, square);
    (differences.fold(0.0, square) / size).sqrt()
}
