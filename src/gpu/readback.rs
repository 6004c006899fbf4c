//! Bringing a tensor back, and waiting for the GPU, which happens nowhere else.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
#[cfg(not(target_arch = "wasm32"))]
use std::task::Poll;

use futures_intrusive::channel::shared::{OneshotReceiver, oneshot_channel};

use super::device::lock;
use super::pool::{Memory, Pool};
use super::{Device, Element, Tensor};
use crate::{Error, Result};

/// What a mapping's callback says; `None` when it went away without a word.
type Answer = Option<Result<(), wgpu::BufferAsyncError>>;

/// A copy of a tensor on its way to the host.
struct Readback {
    staging: Arc<Memory>,
    mapped: OneshotReceiver<Result<(), wgpu::BufferAsyncError>>,
    #[cfg_attr(
        target_arch = "wasm32",
        expect(dead_code, reason = "nothing waits for it there")
    )]
    submission: wgpu::SubmissionIndex,
}

/// How long one wait lasts, and how long an answer may be overdue before the device is probed.
#[cfg(not(target_arch = "wasm32"))]
const SLICE: std::time::Duration = std::time::Duration::from_secs(1);

/// Since when the work was done and its answer still missing.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Default)]
struct Patience(Option<std::time::Instant>);

#[cfg(not(target_arch = "wasm32"))]
impl Patience {
    /// Whether no answer will come: the device says that it is lost, or a second after the work
    /// was done it turns out to be.
    fn is_over(&mut self, device: &Device, ended: bool) -> bool {
        if device.lost().is_some() {
            return true;
        }
        let since = match self.0 {
            Some(since) => since,
            None if ended => std::time::Instant::now(),
            None => return false,
        };
        if since.elapsed() > SLICE {
            self.0 = None;
            return device.gone().is_some();
        }
        self.0 = Some(since);
        false
    }
}

impl Device {
    /// The elements of a tensor, in memory order. Waits for everything submitted so far.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn download<T: Element>(&self, tensor: &Tensor) -> Result<Vec<T>> {
        let Some(readback) = self.read_back::<T>(tensor)? else {
            return Ok(Vec::new());
        };
        let answer = self.wait(&readback);
        self.finish(readback, answer, tensor)
    }

    /// [`download`](Self::download) for where nobody may block. In a browser the event loop
    /// completes it; natively it asks the device each time it is polled and wakes itself, so that
    /// it completes under any executor.
    pub async fn download_async<T: Element>(&self, tensor: &Tensor) -> Result<Vec<T>> {
        let Some(readback) = self.read_back::<T>(tensor)? else {
            return Ok(Vec::new());
        };
        #[cfg(not(target_arch = "wasm32"))]
        let mut patience = Patience::default();
        let answer = {
            let mut mapped = pin!(readback.mapped.receive());
            poll_fn(|context| {
                #[cfg(not(target_arch = "wasm32"))]
                let ended = self.poll(wgpu::PollType::Poll);
                let answer = mapped.as_mut().poll(context);
                #[cfg(not(target_arch = "wasm32"))]
                if answer.is_pending() {
                    if patience.is_over(self, ended) {
                        return Poll::Ready(None);
                    }
                    context.waker().wake_by_ref();
                }
                answer
            })
            .await
        };
        self.finish(readback, answer, tensor)
    }

    /// Submits the copy and asks for the mapping; `None` for a tensor without elements.
    fn read_back<T: Element>(&self, tensor: &Tensor) -> Result<Option<Readback>> {
        tensor.expect_device("tensor", self)?;
        tensor.expect_dtype("tensor", T::DTYPE)?;
        tensor.expect_usage("tensor", wgpu::BufferUsages::COPY_SRC)?;
        tensor.expect_unmapped("tensor")?;
        if let Some(lost) = self.lost() {
            return Err(lost);
        }
        if tensor.is_empty() {
            return Ok(None);
        }
        let bytes = tensor.bytes();
        let device = &self.inner.device;
        let rounded = Pool::rounded(bytes).min(self.limits().max_buffer_bytes);
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = match self.inner.staging.take(rounded) {
            Some(staging) => staging,
            None => self.create_memory("wgnorm.readback", rounded, usage)?,
        };
        let (sender, mapped) = oneshot_channel();
        let submission = self.scoped("reading a tensor back", bytes, || {
            let descriptor = wgpu::CommandEncoderDescriptor {
                label: Some("wgnorm.readback"),
            };
            let mut encoder = device.create_command_encoder(&descriptor);
            let (from, to) = (tensor.raw_buffer(), &staging.buffer);
            encoder.copy_buffer_to_buffer(from, tensor.offset(), to, 0, bytes);
            self.inner.queue.submit([encoder.finish()])
        })?;
        let asked = self.scoped("reading a tensor back", bytes, || {
            staging
                .buffer
                .map_async(wgpu::MapMode::Read, ..bytes, move |result| {
                    // The receiver may have been dropped with its future; then nobody wants to know.
                    drop(sender.send(result));
                });
        });
        if let Err(error) = asked {
            // Nothing is wrong with this buffer, unless the device that made it had gone before.
            let reason = error.to_string();
            return Err(self.gone().unwrap_or(Error::DeviceLost { reason }));
        }
        Ok(Some(Readback {
            staging,
            mapped,
            submission,
        }))
    }

    /// Waits in slices of a second: after a loss the callback may never come, and only the time
    /// between two waits is there to notice.
    #[cfg(not(target_arch = "wasm32"))]
    fn wait(&self, readback: &Readback) -> Answer {
        let mut mapped = pin!(readback.mapped.receive());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let mut patience = Patience::default();
        loop {
            let ended = self.poll(wgpu::PollType::Wait {
                submission_index: Some(readback.submission.clone()),
                timeout: Some(SLICE),
            });
            if let Poll::Ready(answer) = mapped.as_mut().poll(&mut context) {
                return answer;
            }
            if patience.is_over(self, ended) {
                return None;
            }
            // The work is done, and another thread that noticed first is about to run the callback.
            std::thread::sleep(std::time::Duration::from_micros(50));
        }
    }

    /// Takes note of a submission, and waits for an earlier one where too many are under way.
    pub(super) fn follow(&self, submission: wgpu::SubmissionIndex) {
        let due = lock(&self.inner.ahead).submit(submission);
        #[cfg(not(target_arch = "wasm32"))]
        if due.is_some() {
            let slice = wgpu::PollType::Wait {
                submission_index: due,
                timeout: Some(SLICE),
            };
            while !self.poll(slice.clone()) && self.lost().is_none() {}
        }
        #[cfg(target_arch = "wasm32")]
        drop(due);
    }

    /// Polls, and says whether the work that was asked for is done. wgpu panics when the driver
    /// reports a loss here; that is one more way to learn of it.
    #[cfg(not(target_arch = "wasm32"))]
    fn poll(&self, kind: wgpu::PollType) -> bool {
        let poll = std::panic::AssertUnwindSafe(|| self.inner.device.poll(kind));
        match std::panic::catch_unwind(poll) {
            Ok(Ok(status)) => status.wait_finished(),
            Ok(Err(wgpu::PollError::Timeout)) => false,
            // The submission that was waited for is one that a lost device never took.
            Ok(Err(wgpu::PollError::WrongSubmissionIndex(..))) => true,
            Err(_) => {
                self.declare_lost("the driver failed while it was polled");
                true
            }
        }
    }

    fn finish<T: Element>(
        &self,
        readback: Readback,
        answer: Answer,
        tensor: &Tensor,
    ) -> Result<Vec<T>> {
        let reason = match answer {
            Some(Ok(())) => None,
            Some(Err(error)) => Some(error.to_string()),
            None => Some("a readback was never answered".to_owned()),
        };
        if let Some(reason) = reason {
            return Err(self.gone().unwrap_or(Error::DeviceLost { reason }));
        }
        let bytes = ..tensor.bytes();
        let staging = &readback.staging.buffer;
        let view = staging.get_mapped_range(bytes).map_err(|error| {
            // Nobody else knows this buffer, so it can only have gone with its device.
            let reason = error.to_string();
            self.gone().unwrap_or(Error::DeviceLost { reason })
        })?;
        let used = tensor.shape().numel() * size_of::<T>();
        let values = bytemuck::pod_collect_to_vec(&view[..used]);
        drop(view);
        staging.unmap();
        self.inner.staging.give(readback.staging);
        Ok(values)
    }
}
