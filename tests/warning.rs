//! What the layers log. The logger is the process's, so this is a test binary of its own, and the
//! device is wgpu's that computes nothing: a warning needs no GPU.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::sync::{Mutex, PoisonError};

use wgnorm::{
    BatchNorm, BatchNormOptions, BatchRenorm, BatchRenormOptions, Device, GroupNorm,
    GroupNormOptions, InstanceNorm, InstanceNormOptions, Mode, wgpu,
};

/// Keeps the warnings that were logged.
struct Warnings(Mutex<Vec<String>>);

static WARNINGS: Warnings = Warnings(Mutex::new(Vec::new()));

impl Warnings {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl log::Log for Warnings {
    fn enabled(&self, metadata: &log::Metadata) -> bool {
        metadata.level() <= log::Level::Warn && metadata.target().starts_with("wgnorm")
    }

    fn log(&self, record: &log::Record) {
        if self.enabled(record.metadata()) {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

#[test]
fn few_values_per_channel_are_warned_of_once_for_each_layer() {
    log::set_logger(&WARNINGS).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
    let (gpu, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    let device = Device::from_wgpu(gpu, queue).unwrap();
    let of = |shape: &[usize]| device.empty(shape, wgnorm::DType::F32).unwrap();
    let mut step = device.recorder();

    let batch = BatchNorm::new(&device, 3, BatchNormOptions::default()).unwrap();
    batch.forward_train(&mut step, &of(&[8, 3])).unwrap();
    batch.forward_train(&mut step, &of(&[2, 3, 2, 2])).unwrap();
    batch.forward(&mut step, &of(&[2, 3]), Mode::EVAL).unwrap();
    batch.infer(&mut step, &of(&[1, 3])).unwrap();
    assert!(batch.forward_train(&mut step, &of(&[1, 3])).is_err());
    assert_eq!(
        WARNINGS.take(),
        [""; 0],
        "8 values, or none used, or refused"
    );

    batch.forward_train(&mut step, &of(&[7, 3])).unwrap();
    batch
        .clone()
        .forward_train(&mut step, &of(&[2, 3]))
        .unwrap();
    let warned = WARNINGS.take();
    assert_eq!(warned.len(), 1, "the first time only: {warned:?}");
    assert!(warned[0].contains("7 values per channel"), "{warned:?}");

    let renorm = BatchRenorm::new(&device, 3, BatchRenormOptions::default()).unwrap();
    renorm.forward_train(&mut step, &of(&[2, 3])).unwrap();
    let instance = InstanceNorm::new(3, InstanceNormOptions::default()).unwrap();
    instance
        .forward_train(&mut step, &of(&[64, 3, 2, 2]))
        .unwrap();
    assert_eq!(WARNINGS.take().len(), 2, "renorm and instance norm too");

    let groups = GroupNormOptions {
        groups: 3,
        ..GroupNormOptions::default()
    };
    let group = GroupNorm::new(&device, 3, groups).unwrap();
    group.forward_train(&mut step, &of(&[64, 3, 2])).unwrap();
    assert_eq!(WARNINGS.take(), [""; 0], "a group does not know the batch");
}
