//! Another user of the same wgpu device, who makes mistakes of its own and wants to hear of them.

use std::sync::{Arc, Mutex};

use wgnorm::{DType, Device, Error, Tensor, wgpu};

/// What every label of the other user's mistakes begins with.
const MARK: &str = "injected";
const GOOD: [f32; 5] = [0.5, -1.0, 2.0, 4.0, -8.0];

/// The uncaptured errors of a device by whose they were.
#[derive(Default)]
pub(super) struct Uncaptured {
    injected: u64,
    strangers: Vec<String>,
}

/// The other user: the handler is its own, as are the scopes around its mistakes.
pub(super) struct Injector {
    device: Device,
    uncaptured: Arc<Mutex<Uncaptured>>,
    /// How many mistakes the handler should have heard of.
    expected: u64,
    pub(super) mistakes: u64,
    pub(super) problems: Vec<String>,
}

impl Injector {
    /// Sets the device's handler.
    pub(super) fn new(device: &Device) -> Self {
        let uncaptured = Arc::new(Mutex::new(Uncaptured::default()));
        let heard = Arc::clone(&uncaptured);
        let handler = move |error: wgpu::Error| {
            let (message, mut heard) = (error.to_string(), heard.lock().unwrap());
            if message.contains(MARK) {
                heard.injected += 1;
            } else {
                heard.strangers.push(message);
            }
        };
        device.wgpu_device().on_uncaptured_error(Arc::new(handler));
        Self {
            device: device.clone(),
            uncaptured,
            expected: 0,
            mistakes: 0,
            problems: Vec::new(),
        }
    }

    /// A mistake of each kind, and operations of the crate in between.
    pub(super) fn round(&mut self) {
        self.scoped_mistake();
        self.uncaptured_mistake();
        self.refused_in_a_scope();
        self.good_in_a_scope();
        self.broken_commands();
    }

    /// What the handler heard beside what it should have, once all is done.
    pub(super) fn finish(mut self) -> Vec<String> {
        let heard = std::mem::take(&mut *self.uncaptured.lock().unwrap());
        if heard.injected != self.expected {
            self.problems.push(format!(
                "the caller's handler heard of {} of its {} errors",
                heard.injected, self.expected
            ));
        }
        let strangers = heard.strangers.into_iter().take(10);
        let strangers = strangers.map(|error| format!("reached the caller's handler: {error}"));
        self.problems.extend(strangers);
        self.problems
    }

    fn expect(&mut self, ok: bool, what: impl FnOnce() -> String) {
        // The first few say what is wrong.
        if !ok && self.problems.len() < 10 {
            self.problems.push(what());
        }
    }

    /// A buffer that no device makes; returns its label.
    fn mistake(&mut self) -> String {
        self.mistakes += 1;
        let label = format!("{MARK} {}", self.mistakes);
        drop(self.buffer(
            &label,
            wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::MAP_WRITE,
        ));
        label
    }

    fn buffer(&self, label: &str, usage: wgpu::BufferUsages) -> wgpu::Buffer {
        let descriptor = wgpu::BufferDescriptor {
            label: Some(label),
            size: 256,
            usage,
            mapped_at_creation: false,
        };
        self.device.wgpu_device().create_buffer(&descriptor)
    }

    /// Runs something in a scope of the caller's and returns what the scope caught.
    fn caught<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> (T, Option<String>) {
        let gpu = self.device.wgpu_device().clone();
        let scope = gpu.push_error_scope(wgpu::ErrorFilter::Validation);
        let value = run(self);
        let error = pollster::block_on(scope.pop());
        (value, error.map(|error| error.to_string()))
    }

    fn scoped_mistake(&mut self) {
        let (label, caught) = self.caught(Self::mistake);
        let heard = caught.as_ref().is_some_and(|error| error.contains(&label));
        self.expect(heard, || format!("{label} was caught as {caught:?}"));
    }

    fn uncaptured_mistake(&mut self) {
        self.mistake();
        self.expected += 1;
        let heard = self.uncaptured.lock().unwrap().injected;
        let expected = self.expected;
        self.expect(heard == expected, || {
            format!("the handler heard of {heard} of {expected} errors")
        });
    }

    /// What wgpu refuses of ours is our answer and nobody else's.
    fn refused_in_a_scope(&mut self) {
        let (refused, caught) = self.caught(|own| {
            let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
            let buffer = own.buffer("gone", usage);
            buffer.destroy();
            Tensor::from_buffer(&own.device, buffer, 0, [4], DType::F32)
        });
        let typed = matches!(&refused, Err(Error::Validation { name, .. }) if name == "buffer");
        let refused = refused.err();
        self.expect(typed, || {
            format!("a destroyed buffer was refused by {refused:?}")
        });
        self.expect(caught.is_none(), || {
            format!("the caller's scope caught ours: {caught:?}")
        });
    }

    /// A mistake of the caller's is none of ours, also where it was made a moment before.
    fn good_in_a_scope(&mut self) {
        let ((label, back), caught) = self.caught(|own| {
            let label = own.mistake();
            let there = own.device.upload(&GOOD, [5]);
            let back = there.and_then(|there| own.device.download::<f32>(&there));
            (label, back)
        });
        self.expect(back.as_ref().is_ok_and(|back| back == &GOOD), || {
            format!("a download after {label}: {back:?}")
        });
        let heard = caught.as_ref().is_some_and(|error| error.contains(&label));
        self.expect(heard, || format!("{label} was caught as {caught:?}"));
    }

    /// Commands of the caller's that cannot run are refused when they are finished.
    fn broken_commands(&mut self) {
        self.mistakes += 1;
        let ((), caught) = self.caught(|own| {
            let gpu = own.device.wgpu_device();
            let descriptor = wgpu::CommandEncoderDescriptor { label: Some(MARK) };
            let mut encoder = gpu.create_command_encoder(&descriptor);
            let usage = wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
            let buffer = own.buffer("short", usage);
            encoder.clear_buffer(&buffer, 0, Some(1024));
            own.device.wgpu_queue().submit([encoder.finish()]);
        });
        self.expect(caught.is_some(), || {
            "commands that cannot run were not refused".to_owned()
        });
    }
}
