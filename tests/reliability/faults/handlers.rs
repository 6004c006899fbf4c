//! The callbacks that an app has set on its own device: they stay, hear of its own errors, and hear
//! nothing of what this crate returns.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use wgnorm::{DType, Device, Error, Tensor, wgpu};

use super::arguments::{Arguments, Operation};
use super::child::quickly;
use super::right::{RIGHT, expect_lost, expect_on_a_new_device, open};

const STORAGE: wgpu::BufferUsages = wgpu::BufferUsages::STORAGE;

/// How often each was called.
#[derive(Debug, Default)]
struct Calls {
    uncaptured: AtomicU32,
    lost: AtomicU32,
}

impl Calls {
    fn counts(&self) -> [u32; 2] {
        [&self.uncaptured, &self.lost].map(|calls| calls.load(Ordering::SeqCst))
    }

    fn listen(self: &Arc<Self>, device: &wgpu::Device) {
        let calls = Arc::clone(self);
        device.on_uncaptured_error(Arc::new(move |_| {
            calls.uncaptured.fetch_add(1, Ordering::SeqCst);
        }));
        let calls = Arc::clone(self);
        device.set_device_lost_callback(move |_, _| {
            calls.lost.fetch_add(1, Ordering::SeqCst);
        });
    }
}

fn buffer(device: &wgpu::Device, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: 4096,
        usage,
        mapped_at_creation: false,
    })
}

/// What wgpu does not take.
fn mistake(device: &wgpu::Device) {
    drop(buffer(device, STORAGE | wgpu::BufferUsages::MAP_READ));
}

/// Errors of every way in which wgpu is asked.
fn refusals(device: &Device) {
    let arguments = Arguments::new(device);
    let destroyed = buffer(device.wgpu_device(), STORAGE | wgpu::BufferUsages::COPY_SRC);
    let shape = arguments.shape("gamma");
    let tensor = Tensor::from_buffer(device, destroyed.clone(), 0, shape, DType::F32).unwrap();
    let mut bound = device.recorder();
    let spoilt = [("gamma", &tensor)];
    arguments
        .record(&mut bound, Operation::Forward, &spoilt)
        .unwrap();
    destroyed.destroy();
    let validation = |result: Result<(), Error>| {
        assert!(
            matches!(result, Err(Error::Validation { .. })),
            "{result:?}"
        );
    };
    validation(bound.submit());
    let mut recorder = device.recorder();
    validation(arguments.record(&mut recorder, Operation::Forward, &spoilt));
    recorder.submit().unwrap();
    validation(device.download::<f32>(&tensor).map(|_| ()));
    let wrapped = Tensor::from_buffer(device, destroyed, 0, [4], DType::F32);
    validation(wrapped.map(|_| ()));
    let stranger = crate::device().unwrap();
    let theirs = stranger.empty([3], DType::F32).unwrap();
    let refused = arguments.record(
        &mut device.recorder(),
        Operation::Infer,
        &[("beta", &theirs)],
    );
    assert_eq!(refused, Err(Error::OtherDevice { name: "beta" }));
    arguments.expect_untouched();
}

pub(super) fn stay(_: u64) {
    let (theirs, queue) = open();
    let calls = Arc::new(Calls::default());
    calls.listen(&theirs);
    let device = Device::from_wgpu(theirs.clone(), queue).unwrap();
    RIGHT.expect_on(&device);
    quickly("what this crate refuses", || {
        refusals(&device);
    });
    assert_eq!(calls.counts(), [0, 0], "after errors that were returned");
    mistake(&theirs);
    assert_eq!(calls.counts(), [1, 0], "after a mistake of theirs");

    // Their scope hears of their mistakes, and not of our refusals.
    let scope = theirs.push_error_scope(wgpu::ErrorFilter::Validation);
    quickly("what this crate refuses, in their scope", || {
        refusals(&device);
    });
    assert!(pollster::block_on(scope.pop()).is_none());
    let scope = theirs.push_error_scope(wgpu::ErrorFilter::Validation);
    RIGHT.expect_on(&device);
    mistake(&theirs);
    assert!(pollster::block_on(scope.pop()).is_some());
    assert_eq!(calls.counts(), [1, 0], "after what their scope took");

    quickly("destroying their device", || theirs.destroy());
    let downloaded = quickly("downloading from a lost device", || {
        device.upload(&[1.0f32; 3], [3])
    });
    expect_lost(downloaded, "an upload");
    drop(theirs.poll(wgpu::PollType::Poll));
    assert_eq!(calls.counts(), [1, 1], "after the loss");
    drop(device);
    expect_on_a_new_device();
}
