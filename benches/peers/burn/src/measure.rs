//! Wall times of Burn's operations, warm and synced.

use std::time::{Duration, Instant};

use burn::{
    module::Module,
    nn::{BatchNorm, BatchNormConfig},
    tensor::{Device, Tensor, TensorData},
};

/// Burn compiles and tunes its kernels in the first calls.
const WARM_UPS: usize = 3;
/// No row is decided by fewer, however slow it is.
const FEWEST_SAMPLES: usize = 3;
/// A row that has taken this long has enough samples.
const BUDGET: Duration = Duration::from_secs(20);

/// A layer and its input at one shape.
pub struct Case<const D: usize> {
    pub device: Device,
    pub norm: BatchNorm,
    pub x: Tensor<D>,
    /// The values of `x`.
    pub values: Vec<f32>,
    samples: usize,
}

impl<const D: usize> Case<D> {
    pub fn new(device: &Device, shape: [usize; D], samples: usize) -> Self {
        // Batch statistics are taken on a device with autodiff only, elsewhere it is inference.
        let device = device.clone().autodiff();
        let norm = BatchNormConfig::new(shape[1]).init(&device);
        let values = values(shape.iter().product(), 1);
        let data = TensorData::new(values.clone(), shape);
        let x = Tensor::from_data(data, &device).require_grad();
        Self {
            device,
            norm,
            x,
            values,
            samples,
        }
    }

    /// The training forward, running statistics moved and what backward needs kept.
    pub fn forward(&self) -> Vec<Duration> {
        self.time(|| (), |()| self.norm.forward(self.x.clone()))
    }

    pub fn inference(&self) -> Vec<Duration> {
        let norm = self.norm.valid();
        let x = self.x.clone().inner();
        self.time(|| (), |()| norm.forward(x.clone()))
    }

    /// The output of inference.
    pub fn infer(&self) -> Tensor<D> {
        self.norm.valid().forward(self.x.clone().inner())
    }

    /// Backward alone: the forward that it needs runs, and is waited for, before the clock starts.
    ///
    /// It starts from ones, which autodiff makes itself, so no gradient is read from memory that
    /// Burn could do without.
    pub fn backward(&self) -> Vec<Duration> {
        self.time(
            || self.norm.forward(self.x.clone()),
            |y| {
                let gradients = y.backward();
                (y, gradients)
            },
        )
    }

    /// Times `run` on a fresh `prepare`, both waited for. What `run` returns lives until then, so
    /// that Burn cannot drop an operation whose result nobody holds.
    fn time<P, T>(&self, prepare: impl Fn() -> P, run: impl Fn(P) -> T) -> Vec<Duration> {
        let once = || {
            let prepared = prepare();
            self.wait();
            let start = Instant::now();
            let result = run(prepared);
            self.wait();
            let taken = start.elapsed();
            drop(result);
            taken
        };
        for _ in 0..WARM_UPS {
            once();
        }
        let begun = Instant::now();
        let fewest = FEWEST_SAMPLES.min(self.samples);
        let mut samples = Vec::new();
        while samples.len() < self.samples && (samples.len() < fewest || begun.elapsed() < BUDGET) {
            samples.push(once());
        }
        samples
    }

    fn wait(&self) {
        self.device
            .sync()
            .expect("the device runs what it was given");
    }
}

/// Reads a tensor back; it is an error if there is none.
pub fn host<const D: usize>(tensor: Option<Tensor<D>>) -> Result<Vec<f64>, String> {
    let data = tensor.ok_or("Burn returned no gradient")?.into_data();
    let values = data.try_to_vec::<f32>().map_err(|e| e.to_string())?;
    Ok(values.into_iter().map(f64::from).collect())
}

/// The same uniform values in [-1, 1) on every machine.
pub fn values(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}
