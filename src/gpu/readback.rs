//! Bringing a tensor back: the only place that waits for the GPU.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use futures_intrusive::channel::shared::{OneshotReceiver, oneshot_channel};

use super::device::create_buffer;
use super::pool::Pool;
use super::scope::scoped;
use super::{Device, Element, Tensor};
use crate::{Error, Result};

/// What a mapping's callback says; `None` when it went away without a word.
type Answer = Option<Result<(), wgpu::BufferAsyncError>>;

/// A copy of a tensor on its way to the host.
struct Readback {
    staging: wgpu::Buffer,
    mapped: OneshotReceiver<Result<(), wgpu::BufferAsyncError>>,
    #[cfg(not(target_arch = "wasm32"))]
    submission: wgpu::SubmissionIndex,
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
        let answer = {
            let mut mapped = pin!(readback.mapped.receive());
            poll_fn(|context| {
                #[cfg(not(target_arch = "wasm32"))]
                if self.inner.device.poll(wgpu::PollType::Poll).is_ok() {
                    context.waker().wake_by_ref();
                }
                match mapped.as_mut().poll(context) {
                    Poll::Pending if self.lost().is_some() => Poll::Ready(None),
                    other => other,
                }
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
            None => create_buffer(device, "wgnorm.readback", rounded, usage)?,
        };
        let (sender, mapped) = oneshot_channel();
        let submission = scoped(device, "reading a tensor back", bytes, || {
            let descriptor = wgpu::CommandEncoderDescriptor {
                label: Some("wgnorm.readback"),
            };
            let mut encoder = device.create_command_encoder(&descriptor);
            encoder.copy_buffer_to_buffer(tensor.buffer(), tensor.offset(), &staging, 0, bytes);
            self.inner.queue.submit([encoder.finish()])
        })?;
        let asked = scoped(device, "reading a tensor back", bytes, || {
            staging.map_async(wgpu::MapMode::Read, ..bytes, move |result| {
                // The receiver may have been dropped with its future; then nobody wants to know.
                drop(sender.send(result));
            });
        });
        if let Err(error) = asked {
            // Nothing is wrong with this buffer, unless the device that made it had gone before.
            return Err(Error::DeviceLost {
                reason: error.to_string(),
            });
        }
        Ok(Some(Readback {
            staging,
            mapped,
            #[cfg(not(target_arch = "wasm32"))]
            submission,
        }))
    }

    /// Waits in slices of a second: after a loss the callback may never come, and only the time
    /// between two waits is there to notice.
    #[cfg(not(target_arch = "wasm32"))]
    fn wait(&self, readback: &Readback) -> Answer {
        const SLICE: std::time::Duration = std::time::Duration::from_secs(1);
        let mut mapped = pin!(readback.mapped.receive());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let mut ended = None;
        loop {
            let polled = self.inner.device.poll(wgpu::PollType::Wait {
                submission_index: Some(readback.submission.clone()),
                timeout: Some(SLICE),
            });
            if let Poll::Ready(answer) = mapped.as_mut().poll(&mut context) {
                return answer;
            }
            if self.lost().is_some() {
                return None;
            }
            if !matches!(polled, Err(wgpu::PollError::Timeout)) {
                // The work is done, and the callback was taken by the thread that noticed first;
                // if that is another one it is about to run. Nobody takes as long as a slice.
                let since = *ended.get_or_insert_with(std::time::Instant::now);
                if since.elapsed() > SLICE {
                    return None;
                }
                std::thread::yield_now();
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
            return Err(self.lost().unwrap_or(Error::DeviceLost { reason }));
        }
        let view = readback
            .staging
            .get_mapped_range(..tensor.bytes())
            .map_err(|error| Error::Validation {
                name: "reading a tensor back".into(),
                message: error.to_string(),
            })?;
        let used = tensor.shape().numel() * size_of::<T>();
        let values = bytemuck::pod_collect_to_vec(&view[..used]);
        drop(view);
        readback.staging.unmap();
        self.inner.staging.give(readback.staging);
        Ok(values)
    }
}
