//! Error scopes: what wgpu refuses becomes an [`Error`] here instead of reaching the uncaptured
//! error handler, which panics by default.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::{Error, Result};

/// Runs `create` and returns what wgpu said of it. `needed` is the size in bytes that an
/// out-of-memory error reports.
///
/// Natively the answer is there when the scope closes. In a browser it comes later, and the
/// browser's own console is where it can be read; nothing may block there to wait for it.
pub(super) fn scoped<T>(
    device: &wgpu::Device,
    name: &str,
    needed: u64,
    create: impl FnOnce() -> T,
) -> Result<T> {
    let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
    let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let value = create();
    let refused = [
        answer(validation.pop()),
        answer(internal.pop()),
        answer(memory.pop()),
    ];
    match refused.into_iter().flatten().next() {
        None => Ok(value),
        Some(error) => Err(describe(name, needed, &error)),
    }
}

fn answer(future: impl Future<Output = Option<wgpu::Error>>) -> Option<wgpu::Error> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(error) => error,
        Poll::Pending => None,
    }
}

fn describe(name: &str, needed: u64, error: &wgpu::Error) -> Error {
    match error {
        wgpu::Error::OutOfMemory { .. } => Error::OutOfMemory {
            name: name.to_owned(),
            needed,
        },
        other => Error::Validation {
            name: name.to_owned(),
            message: other.to_string(),
        },
    }
}
