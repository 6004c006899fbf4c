//! Threads that panic in the midst of a recording, beside others that go on.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use wgnorm::{BatchNorm, BatchNormOptions, Device, wgpu};

use super::child::quickly;
use super::right::{RIGHT, either_again, expect_on_a_new_device};

/// Unwinds without a word to the panic hook, which counts those of the library.
fn give_up() -> ! {
    resume_unwind(Box::new("a thread gives up"))
}

/// Panics with a recorder open and an operation in it, of its own or in the caller's encoder.
fn panic_while_recording(device: &Device, layer: &BatchNorm, own: bool) {
    let values = vec![1.0f32; 300];
    let x = device.upload(&values, [10, 5, 6]).unwrap();
    let descriptor = wgpu::CommandEncoderDescriptor::default();
    let mut encoder = device.wgpu_device().create_command_encoder(&descriptor);
    let mut recorder = if own {
        device.recorder()
    } else {
        device.record_into(&mut encoder)
    };
    let (_y, _saved) = layer.forward_train(&mut recorder, &x).unwrap();
    give_up();
}

/// Unwinds through a download that nobody waits for any more.
fn panic_while_reading(device: &Device) {
    let x = device.upload(&[1.0f32; 300], [300]).unwrap();
    let mut download = Box::pin(device.download_async::<f32>(&x));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    drop(download.as_mut().poll(&mut context));
    give_up();
}

pub(super) fn panic(repetition: u64) {
    let device = either_again(repetition);
    RIGHT.expect_on(device);
    let layer = BatchNorm::new(device, 5, BatchNormOptions::default()).unwrap();
    let before = layer.state(device).unwrap();
    // Kernels are compiled before anybody looks at the clock.
    drop(catch_unwind(AssertUnwindSafe(|| {
        panic_while_recording(device, &layer, true);
    })));
    quickly("recording beside threads that panic", || {
        std::thread::scope(|scope| {
            let panicking: Vec<_> = (0..6)
                .map(|thread| {
                    let (device, layer) = (device, &layer);
                    scope.spawn(move || match thread % 3 {
                        0 => panic_while_recording(device, layer, true),
                        1 => panic_while_recording(device, layer, false),
                        _ => panic_while_reading(device),
                    })
                })
                .collect();
            scope.spawn(|| RIGHT.expect_on(device));
            RIGHT.expect_on(device);
            for thread in panicking {
                assert!(thread.join().is_err(), "a thread was to panic");
            }
        });
    });
    // Nothing of theirs was submitted, and no lock is poisoned.
    assert!(
        layer.state(device).unwrap() == before,
        "a panic has moved the layer"
    );
    device.release_pooled_memory();
    RIGHT.expect_on(device);
    drop(layer);
    expect_on_a_new_device();
}
