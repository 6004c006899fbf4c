//! Devices that go: before an operation, between two, while one is recorded, in the midst of many, and
//! while somebody waits for a result.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wgnorm::{BatchNorm, BatchNormOptions, DType, Device, Error, Recorder, Saved, Tensor, wgpu};

use super::child::quickly;
use super::right::{RIGHT, either, expect_lost, expect_lost_or_unknown, expect_on_a_new_device};

const SHAPE: [usize; 3] = [16, 4, 50];

/// A layer on a device, with what a step of it takes.
struct Step {
    device: Device,
    layer: BatchNorm,
    x: Tensor,
    dy: Tensor,
}

impl Step {
    fn new(device: Device) -> Self {
        let layer = BatchNorm::new(&device, SHAPE[1], BatchNormOptions::default()).unwrap();
        let values: Vec<f32> = (0..SHAPE.iter().product::<usize>())
            .map(|i| ((i * 37) % 101) as f32)
            .collect();
        let [x, dy] = [(); 2].map(|()| device.upload(&values, SHAPE).unwrap());
        let step = Self {
            device,
            layer,
            x,
            dy,
        };
        // Kernels are compiled before anybody looks at the clock.
        let mut recorder = step.device.recorder();
        let (_, saved) = step.forward(&mut recorder).unwrap();
        let dx = step.backward(&mut recorder, &saved).unwrap();
        recorder.submit().unwrap();
        step.device.download::<f32>(&dx).unwrap();
        step
    }

    fn forward(&self, recorder: &mut Recorder<'_>) -> Result<(Tensor, Saved), Error> {
        self.layer.forward_train(recorder, &self.x)
    }

    fn backward(&self, recorder: &mut Recorder<'_>, saved: &Saved) -> Result<Tensor, Error> {
        let gradients = self.layer.backward(recorder, &self.x, &self.dy, saved)?;
        Ok(gradients.dx)
    }

    fn whole(&self) -> Result<Tensor, Error> {
        let mut recorder = self.device.recorder();
        let (_, saved) = self.forward(&mut recorder)?;
        let dx = self.backward(&mut recorder, &saved)?;
        recorder.submit()?;
        Ok(dx)
    }

    fn lose(&self) {
        quickly("destroying a device", || {
            self.device.wgpu_device().destroy();
        });
    }

    /// All that can be asked of a lost device.
    fn expect_lost(&self) {
        let device = &self.device;
        quickly("downloading from a lost device", || {
            expect_lost(device.download::<f32>(&self.x), "a download");
        });
        quickly("downloading asynchronously from a lost device", || {
            let download = pollster::block_on(device.download_async::<f32>(&self.x));
            expect_lost(download, "an async download");
        });
        quickly("working on a lost device", || {
            expect_lost(device.upload(&[1.0f32; 4], [4]), "an upload");
            expect_lost(device.write(&self.x, &[1.0; 3200]), "a write");
            let layer = BatchNorm::new(device, 7, BatchNormOptions::default());
            expect_lost(layer, "a layer");
            expect_lost(self.layer.state(device), "a state");
            expect_lost_or_unknown(device.empty([3, 5], DType::F32), "a tensor");
            expect_lost_or_unknown(self.whole(), "a step");
            device.release_pooled_memory();
        });
    }
}

pub(super) fn before(repetition: u64) {
    let step = Step::new(either(repetition));
    RIGHT.expect_on(&step.device);
    step.lose();
    let made = quickly("a step on a lost device", || {
        expect_lost_or_unknown(step.whole(), "a step")
    });
    if let Some(dx) = made {
        quickly("downloading a step of a lost device", || {
            expect_lost(step.device.download::<f32>(&dx), "a download");
        });
    }
    step.expect_lost();
    drop(step);
    expect_on_a_new_device();
}

pub(super) fn between(repetition: u64) {
    let step = Step::new(either(repetition));
    let mut recorder = step.device.recorder();
    let (y, saved) = step.forward(&mut recorder).unwrap();
    recorder.submit().unwrap();
    step.lose();
    let dx = quickly("a backward on a lost device", || {
        let mut recorder = step.device.recorder();
        let dx = step.backward(&mut recorder, &saved);
        let dx = expect_lost_or_unknown(dx, "a backward");
        expect_lost_or_unknown(recorder.submit(), "a submission");
        dx
    });
    for tensor in [Some(y), dx].into_iter().flatten() {
        quickly("downloading a step of a lost device", || {
            expect_lost(step.device.download::<f32>(&tensor), "a download");
        });
    }
    step.expect_lost();
    drop((saved, step));
    expect_on_a_new_device();
}

pub(super) fn recording(repetition: u64) {
    let step = Step::new(either(repetition));
    let wgpu_device = step.device.wgpu_device();
    let descriptor = wgpu::CommandEncoderDescriptor::default();
    let mut encoder = wgpu_device.create_command_encoder(&descriptor);
    let mut own = step.device.recorder();
    let mut dropped = step.device.recorder();
    let mut theirs = step.device.record_into(&mut encoder);
    let saved = [
        step.forward(&mut own).unwrap().1,
        step.forward(&mut dropped).unwrap().1,
        step.forward(&mut theirs).unwrap().1,
    ];
    step.lose();
    quickly("recording on a lost device", || {
        let backwards = [
            step.backward(&mut own, &saved[0]),
            step.backward(&mut dropped, &saved[1]),
            step.backward(&mut theirs, &saved[2]),
        ];
        for backward in backwards {
            expect_lost_or_unknown(backward, "a backward");
        }
        expect_lost_or_unknown(own.submit(), "a submission");
        drop((dropped, theirs));
    });
    quickly("submitting the caller's encoder", || {
        step.device.wgpu_queue().submit([encoder.finish()]);
    });
    step.expect_lost();
    drop((saved, step));
    expect_on_a_new_device();
}

pub(super) fn during(repetition: u64) {
    let step = Step::new(either(repetition));
    let right: Vec<f32> = step.device.download(&step.whole().unwrap()).unwrap();
    let gone = AtomicBool::new(false);
    quickly("operations while the device goes", || {
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !gone.load(Ordering::Relaxed) {
                        let Some(dx) = expect_lost_or_unknown(step.whole(), "a step") else {
                            continue;
                        };
                        let dx = step.device.download::<f32>(&dx);
                        if let Some(dx) = expect_lost_or_unknown(dx, "a download") {
                            assert!(dx == right, "a step that was cut off went wrong");
                        }
                    }
                });
            }
            std::thread::sleep(Duration::from_micros(317 * (repetition % 10)));
            step.device.wgpu_device().destroy();
            gone.store(true, Ordering::Relaxed);
        });
    });
    step.expect_lost();
    drop(step);
    expect_on_a_new_device();
}

pub(super) fn reading(repetition: u64) {
    let step = Step::new(either(repetition));
    let right: Vec<f32> = step.device.download(&step.whole().unwrap()).unwrap();
    let mut dx = Vec::new();
    for _ in 0..20 {
        dx.push(step.whole().unwrap());
    }
    let dx = dx.pop().unwrap();
    let check = |result: Result<Vec<f32>, Error>| {
        if let Some(values) = expect_lost_or_unknown(result, "a readback") {
            assert!(values == right, "a readback that was cut off went wrong");
        }
    };
    quickly("a readback while the device goes", || {
        std::thread::scope(|scope| {
            scope.spawn(|| check(step.device.download(&dx)));
            scope.spawn(|| check(pollster::block_on(step.device.download_async(&dx))));
            // Nobody will ever hear of this one.
            let mut unheard = Box::pin(step.device.download_async::<f32>(&dx));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            if let std::task::Poll::Ready(result) = unheard.as_mut().poll(&mut context) {
                check(result);
            }
            std::thread::sleep(Duration::from_micros(211 * (repetition % 10)));
            step.device.wgpu_device().destroy();
        });
    });
    step.expect_lost();
    drop(step);
    expect_on_a_new_device();
}
