//! Training that goes on and on, in a process of its own.

use wgnorm::{BatchNorm, BatchNormOptions, Device, Shape, Tensor, wgpu};

use super::control::Control;
use super::memory::{self, growth};

/// What goes on and on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Soak {
    /// Uploads, forward, backward and a download, always of one shape.
    OneShape,
    /// The same over and over through 20 shapes.
    TwentyShapes,
    /// One shape, but the caller only submits: it neither downloads nor polls. lavapipe makes such a
    /// caller wait by itself; a driver that computes in the background does not, and it is there that
    /// this grows by half a megabyte a step if nobody bounds how far the caller gets ahead.
    NeverPolled,
    /// Forward and backward in the caller's encoder, whose tensors no pool takes back. Such a caller
    /// submits itself, and sees to it that no more than two submissions are under way.
    CallersEncoder,
    /// As many submissions of a kernel in plain wgpu, to compare with.
    Control,
}

impl Soak {
    /// Those of the crate.
    pub(super) const ALL: [Self; 4] = [
        Self::OneShape,
        Self::TwentyShapes,
        Self::NeverPolled,
        Self::CallersEncoder,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OneShape => "one shape",
            Self::TwentyShapes => "20 shapes",
            Self::NeverPolled => "never polled",
            Self::CallersEncoder => "the caller's encoder",
            Self::Control => "control",
        }
    }

    /// How many submissions may be under way at once, beyond the one whose result is waited for.
    fn ahead(self) -> i64 {
        match self {
            Self::OneShape | Self::TwentyShapes => 0,
            Self::CallersEncoder => 2,
            Self::NeverPolled | Self::Control => 64,
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter().chain([Self::Control]);
        all.find(|soak| soak.name() == name)
    }
}

/// What a soak has seen.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Seen {
    /// `None` where the system does not say how much memory a process has.
    pub(super) growth_bytes: Option<i64>,
    /// The objects of wgpu that had become more by the end than timing explains, and by how many.
    pub(super) more: Vec<(String, i64)>,
}

/// Command encoders of a submission: its own, and that of the uploads before it.
const ENCODERS: i64 = 2;
/// Steps before those that count, in which kernels are compiled, and pools and allocators take what
/// they keep.
const WARM_UP: u64 = 200;
/// About as many samples are taken.
const SAMPLES: u64 = 500;
const CHANNELS: usize = 8;

struct Training {
    device: Device,
    layer: BatchNorm,
    shapes: Vec<Shape>,
    values: Vec<f32>,
}

impl Training {
    fn new(device: &Device, soak: Soak) -> Self {
        let shapes: Vec<Shape> = match soak {
            Soak::TwentyShapes => (0..20)
                .map(|i| Shape::from([4 + i, CHANNELS, 5 + i % 7, 6 + i % 5]))
                .collect(),
            _ => vec![Shape::from([16, CHANNELS, 14, 14])],
        };
        let most = shapes.iter().map(Shape::numel).max().unwrap();
        let layer = BatchNorm::new(device, CHANNELS, BatchNormOptions::default()).unwrap();
        Self {
            device: device.clone(),
            layer,
            shapes,
            values: (0..most).map(|i| (i as f32 * 0.7).sin()).collect(),
        }
    }

    fn inputs(&self, step: u64) -> [Tensor; 2] {
        let shape = &self.shapes[step as usize % self.shapes.len()];
        let values = &self.values[..shape.numel()];
        [(); 2].map(|()| self.device.upload(values, shape).unwrap())
    }

    /// Returns dgamma.
    fn step(&self, step: u64) -> Tensor {
        let [x, dy] = self.inputs(step);
        let mut recorder = self.device.recorder();
        let (_, saved) = self.layer.forward_train(&mut recorder, &x).unwrap();
        let gradients = self.layer.backward(&mut recorder, &x, &dy, &saved);
        recorder.submit().unwrap();
        gradients.unwrap().dgamma.unwrap()
    }

    fn step_in_encoder(&self, step: u64) -> wgpu::SubmissionIndex {
        let [x, dy] = self.inputs(step);
        let descriptor = wgpu::CommandEncoderDescriptor::default();
        let gpu = self.device.wgpu_device();
        let mut encoder = gpu.create_command_encoder(&descriptor);
        let mut recorder = self.device.record_into(&mut encoder);
        let (_, saved) = self.layer.forward_train(&mut recorder, &x).unwrap();
        let gradients = self.layer.backward(&mut recorder, &x, &dy, &saved);
        drop(recorder);
        gradients.unwrap();
        self.device.wgpu_queue().submit([encoder.finish()])
    }
}

/// The objects of wgpu that are alive.
fn objects(device: &Device) -> [(&'static str, i64); 9] {
    let hal = device.wgpu_device().get_internal_counters().hal;
    let counted = [
        ("buffers", hal.buffers.read()),
        ("bind groups", hal.bind_groups.read()),
        ("bind group layouts", hal.bind_group_layouts.read()),
        ("pipeline layouts", hal.pipeline_layouts.read()),
        ("pipelines", hal.compute_pipelines.read()),
        ("shader modules", hal.shader_modules.read()),
        ("command encoders", hal.command_encoders.read()),
        ("fences", hal.fences.read()),
        ("bytes of buffers", hal.buffer_memory.read()),
    ];
    counted.map(|(name, count)| (name, count as i64))
}

/// The most of each object in some samples: what is under way comes and goes.
fn most(samples: &[[(&'static str, i64); 9]]) -> Vec<i64> {
    let of = |i: usize| samples.iter().map(|sample| sample[i].1).max().unwrap();
    (0..9).map(of).collect()
}

/// Waits for a submission, or for all.
fn wait(device: &Device, submission_index: Option<wgpu::SubmissionIndex>) {
    let ended = wgpu::PollType::Wait {
        submission_index,
        timeout: None,
    };
    device.wgpu_device().poll(ended).unwrap();
}

/// Goes on for so many steps, and says what has become more in them.
pub(super) fn run(soak: Soak, steps: u64) -> Seen {
    let device = Device::new().unwrap();
    let training = Training::new(&device, soak);
    let control = Control::new(&device);
    let mut last = None;
    let mut step = |step| match soak {
        Soak::OneShape | Soak::TwentyShapes => {
            let dgamma: Vec<f32> = device.download(&training.step(step)).unwrap();
            assert!(dgamma.iter().all(|value| value.is_finite()));
        }
        Soak::NeverPolled => drop(training.step(step)),
        Soak::CallersEncoder => {
            let before = last.replace(training.step_in_encoder(step));
            if before.is_some() {
                wait(&device, before);
            }
        }
        Soak::Control => control.step(),
    };
    (0..WARM_UP).for_each(&mut step);
    let (mut bytes, mut counts) = (Vec::new(), Vec::new());
    for i in 0..steps {
        step(WARM_UP + i);
        if i % (steps / SAMPLES).max(1) == 0 {
            bytes.extend(memory::resident());
            counts.push(objects(&device));
        }
    }
    wait(&device, None);
    let before = most(&counts[..counts.len() / 10]);
    let more = objects(&device).into_iter().zip(before);
    let more = more.map(|((name, after), before)| {
        // wgpu keeps as many as were under way at once, and how many those are, timing decides. A
        // leak of one in each step is far more.
        let timing = match name {
            "command encoders" => ENCODERS * soak.ahead(),
            _ => 0,
        };
        (name.to_owned(), after - before - timing)
    });
    Seen {
        growth_bytes: (!bytes.is_empty()).then(|| growth(&bytes)),
        more: more.filter(|(_, more)| *more > 0).collect(),
    }
}
