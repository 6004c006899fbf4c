//! Operations of every kind, one after the other, as a thread of an application has them.

use std::hash::{DefaultHasher, Hash, Hasher};

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use wgnorm::functional::NormOptions;
use wgnorm::{
    Activation, BatchNorm, BatchNormOptions, DType, Device, Error, GroupNorm, GroupNormOptions,
    LayerNorm, LayerNormOptions, Mode, Norm, RmsNorm, RmsNormOptions, Shape, SpectralNorm,
    SpectralNormOptions, Tensor, With,
};

use super::recipes;
use crate::stored;

/// The kinds of operation.
const KINDS: u32 = 8;
const CHANNELS: usize = 6;

/// What all threads have in common: they read it at once and write it never.
pub(super) struct Shared {
    layer: BatchNorm,
    x: Tensor,
}

impl Shared {
    pub(super) fn new(device: &Device) -> wgnorm::Result<Self> {
        let options = BatchNormOptions {
            activation: Activation::Relu,
            ..BatchNormOptions::default()
        };
        let layer = BatchNorm::new(device, CHANNELS, options)?;
        let gamma: Vec<f32> = (0..CHANNELS).map(|c| 0.5 + c as f32).collect();
        device.write(layer.gamma().unwrap(), &gamma)?;
        let shape = Shape::from([7, CHANNELS, 9]);
        let x = device.upload(&wave(shape.numel(), 0.37), shape)?;
        Ok(Self { layer, x })
    }
}

/// The operations of one thread. Those that it has done decide what the state of its layers is, so
/// that each has the same bits wherever the thread runs, and beside whom.
pub(super) struct Mix<'a> {
    device: &'a Device,
    shared: &'a Shared,
    thread: u64,
    /// How many different cases there are.
    recipes: u64,
    layer: BatchNorm,
    spectral: SpectralNorm,
    weight: Tensor,
}

/// Some values without a pattern that a wrong index would hit again.
fn wave(n: usize, step: f32) -> Vec<f32> {
    (0..n)
        .map(|i| (i as f32 * step).sin() + 0.1 * (i % 7) as f32)
        .collect()
}

/// The bits of a result, in one number.
#[derive(Default)]
struct Digest(DefaultHasher);

impl Digest {
    fn add(&mut self, values: &[f32]) {
        values.len().hash(&mut self.0);
        for value in values {
            value.to_bits().hash(&mut self.0);
        }
    }

    fn download(&mut self, device: &Device, tensor: &Tensor) {
        self.add(&stored::download(device, tensor));
    }
}

impl<'a> Mix<'a> {
    pub(super) fn new(
        device: &'a Device,
        shared: &'a Shared,
        thread: u64,
        recipes: u64,
    ) -> wgnorm::Result<Self> {
        let layer = BatchNorm::new(device, CHANNELS, BatchNormOptions::default())?;
        let rows = 4 + thread as usize;
        let weight = device.upload(&wave(rows * 15, 0.9), [rows, 5, 3])?;
        let mut step = device.recorder();
        let spectral = SpectralNorm::new(&mut step, &weight, SpectralNormOptions::default())?;
        step.submit()?;
        Ok(Self {
            device,
            shared,
            thread,
            recipes,
            layer,
            spectral,
            weight,
        })
    }

    /// Does one operation and tells the bits of all that came of it.
    pub(super) fn operation(&mut self, index: u64) -> wgnorm::Result<u64> {
        let mut rng = Pcg64::seed_from_u64(self.thread << 32 | index);
        let mut digest = Digest::default();
        match rng.random_range(0..KINDS) {
            0 | 1 => self.train(&mut digest, &mut rng)?,
            2 => self.infer(&mut digest, &mut rng)?,
            3 => self.guarded(&mut digest, &mut rng),
            4 => self.other_norms(&mut digest, &mut rng)?,
            5 => self.normalize_weight(&mut digest)?,
            6 => self.chain(&mut digest)?,
            _ => self.abandon(&mut digest, &mut rng)?,
        }
        Ok(digest.0.finish())
    }

    /// A step of the thread's own layer, whose running statistics move with each.
    fn train(&self, digest: &mut Digest, rng: &mut Pcg64) -> wgnorm::Result<()> {
        let shape = Shape::from([rng.random_range(2..9), CHANNELS, rng.random_range(3..40)]);
        let [x, dy] = [0.7, 1.3].map(|step| wave(shape.numel(), step));
        let x = self.device.upload(&x, &shape)?;
        let dy = self.device.upload(&dy, &shape)?;
        let mut step = self.device.recorder();
        let (y, saved) = self.layer.forward_train(&mut step, &x)?;
        let gradients = self.layer.backward(&mut step, &x, &dy, &saved)?;
        // What is dropped here must not be anybody else's before the step was submitted.
        drop((x, dy));
        let other = self.device.upload(&wave(shape.numel(), 2.1), &shape)?;
        step.submit()?;
        drop(other);
        digest.download(self.device, &y);
        digest.download(self.device, &gradients.dx);
        for tensor in [gradients.dgamma, gradients.dbeta].into_iter().flatten() {
            digest.download(self.device, &tensor);
        }
        for tensor in [self.layer.running_mean(), self.layer.running_var()] {
            digest.download(self.device, tensor.unwrap());
        }
        let tracked = self.layer.num_batches_tracked().unwrap();
        self.device.download::<u32>(tracked)?.hash(&mut digest.0);
        Ok(())
    }

    /// The layer and an input that all threads share, and another input.
    fn infer(&self, digest: &mut Digest, rng: &mut Pcg64) -> wgnorm::Result<()> {
        let shape = Shape::from([rng.random_range(1..5), CHANNELS, 9]);
        let values = wave(shape.numel(), 0.37);
        let dtype = [DType::F32, DType::F16, DType::Bf16][rng.random_range(0..3)];
        let [x, residual] = [(); 2].map(|()| stored::upload(self.device, &values, &shape, dtype));
        let with = With {
            residual: Some(&residual),
            ..With::default()
        };
        let mut step = self.device.recorder();
        let shared = self.shared.layer.infer(&mut step, &self.shared.x)?;
        let y = self.shared.layer.infer_with(&mut step, &x, with)?;
        self.shared.layer.infer_in_place(&mut step, &x)?;
        step.submit()?;
        for tensor in [&x, &y, &shared] {
            digest.download(self.device, tensor);
        }
        Ok(())
    }

    /// Any norm and type between canaries, twice; panics where a case does.
    fn guarded(&self, digest: &mut Digest, rng: &mut Pcg64) {
        let case = recipes::recipe(rng.random_range(0..self.recipes));
        let got = case.run(self.device, &case.inputs());
        for values in [
            &got.y,
            &got.mean,
            &got.rstd,
            &got.running_mean,
            &got.running_var,
            &got.dx,
            &got.dgamma,
            &got.dbeta,
            &got.dresidual,
        ] {
            digest.add(values);
        }
    }

    /// New layers of other norms on tensors from the pool.
    fn other_norms(&self, digest: &mut Digest, rng: &mut Pcg64) -> wgnorm::Result<()> {
        let rows = Shape::from([rng.random_range(3..20), 24]);
        let planes = Shape::from([rng.random_range(2..6), 8, 5]);
        let device = self.device;
        let layer = LayerNorm::new(device, [24], LayerNormOptions::default())?;
        let rms = RmsNorm::new(device, [24], RmsNormOptions::default())?;
        let options = GroupNormOptions {
            groups: 4,
            ..GroupNormOptions::default()
        };
        let group = GroupNorm::new(device, 8, options)?;
        match rng.random_range(0..3) {
            0 => step(device, &layer, &rows, digest),
            1 => step(device, &rms, &rows, digest),
            _ => step(device, &group, &planes, digest),
        }
    }

    /// A power iteration of the thread's own weight.
    fn normalize_weight(&self, digest: &mut Digest) -> wgnorm::Result<()> {
        let mut step = self.device.recorder();
        let (w, saved) = self.spectral.forward_train(&mut step, &self.weight)?;
        let gradients = self
            .spectral
            .backward(&mut step, &self.weight, &w, &saved)?;
        step.submit()?;
        for tensor in [&w, &saved.sigma(), self.spectral.u(), &gradients] {
            digest.download(self.device, tensor);
        }
        Ok(())
    }

    /// Several submissions that nobody waits for in between.
    fn chain(&self, digest: &mut Digest) -> wgnorm::Result<()> {
        let shape = Shape::from([12, CHANNELS, 10]);
        let mut y = self.device.upload(&wave(shape.numel(), 0.6), &shape)?;
        for _ in 0..5 {
            let mut step = self.device.recorder();
            y = self.layer.forward(&mut step, &y, Mode::RECOMPUTE)?.0;
            step.submit()?;
        }
        digest.download(self.device, &y);
        Ok(())
    }

    /// A step that is recorded and thrown away, an operation that is refused, and an odd number of
    /// 16-bit values there and back again.
    fn abandon(&self, digest: &mut Digest, rng: &mut Pcg64) -> wgnorm::Result<()> {
        let odd = 2 * rng.random_range(1..500) + 1;
        let x = self
            .device
            .upload(&wave(12 * CHANNELS, 0.5), [12, CHANNELS])?;
        let mut step = self.device.recorder();
        self.layer.forward_train(&mut step, &x)?;
        drop(step);
        let mut refused = self.device.recorder();
        let wrong = self.device.upload(&wave(12, 0.5), [3, 4])?;
        let error = self.layer.forward_train(&mut refused, &wrong).unwrap_err();
        assert!(matches!(error, Error::Shape { .. }), "{error}");
        refused.submit()?;
        error.to_string().hash(&mut digest.0);
        let there = wave(odd, 0.11);
        let shape = Shape::from([odd]);
        let there = stored::upload(self.device, &there, &shape, DType::F16);
        digest.download(self.device, &there);
        let mean = self.layer.running_mean().unwrap();
        digest.download(self.device, mean);
        Ok(())
    }
}

/// A forward and a backward of a layer on tensors from the pool.
fn step<O: NormOptions>(
    device: &Device,
    layer: &Norm<O>,
    shape: &Shape,
    digest: &mut Digest,
) -> wgnorm::Result<()> {
    let x = device.upload(&wave(shape.numel(), 0.7), shape)?;
    let dy = device.upload(&wave(shape.numel(), 1.3), shape)?;
    let mut step = device.recorder();
    let (y, saved) = layer.forward_train(&mut step, &x)?;
    let gradients = layer.backward(&mut step, &x, &dy, &saved)?;
    step.submit()?;
    digest.add(&saved.statistics(device)?.rstd);
    digest.download(device, &y);
    digest.download(device, &gradients.dx);
    for tensor in [gradients.dgamma, gradients.dbeta].into_iter().flatten() {
        digest.download(device, &tensor);
    }
    Ok(())
}
