//! Batch normalization on any GPU that wgpu reaches.
#[cfg(test)]
extern crate self as wgnorm;

mod error;
mod gpu;
mod kernels;
mod norm;
mod plan;
#[doc = include_str!("derivation.md")]
pub mod derivation {}
pub mod reference;
mod shape;

pub use error::{Error, Result};
pub use gpu::{DType, Device, DeviceClass, Element, Limits, Recorder, Tensor};
pub use norm::*;
pub use plan::{PlanOptions, Strategy};
pub use shape::{Shape, View};
pub use wgpu;
