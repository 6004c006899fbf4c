//! Statistics of batch norm in steps of their own, so that they can be those of several tensors: of all
//! micro-batches before one update, of all processes that train together, or of a whole data set.
//!
//! ```text
//! partial -> merge -> finalize -> normalize        forward
//! partial_sums -> merge_sums -> backward           its dual
//! ```
//!
//! A *moment* of n values is `(n, K, s, q)`: a pivot K that lies among them, `s = sum (x - K)` and
//! `q = sum (x - K)²`. From those of the parts a and b that of the whole is, around any pivot K,
//!
//! ```text
//! n = na + nb        s = sum over parts of s_i + n_i (K_i - K)
//!                    q = sum over parts of q_i + (K_i - K) (2 s_i + n_i (K_i - K))
//! mean = K + s / n   var = q / n - (s / n)²        rstd = 1 / sqrt(var + eps)
//! ```
//!
//! and the backward needs of each part no more than `sum dy` and `sum dy * xhat`, which add up:
//!
//! ```text
//! dbeta = sum dy      dgamma = sum dy * xhat       dx = gamma * rstd * (dy - dbeta / n - xhat * dgamma / n)
//! ```
//!
//! with the n of all parts, which the device takes from the merged moment.
//!
//! Tensors of moments are f32 `[C, 4]`, or `[rows, C, 4]` for several; tensors of sums `[C, 2]` or
//! `[rows, C, 2]` likewise. Both are plain data: download them, send them, upload them; on the host
//! [`Moment`](super::Moment) does the same in float64. Parts merge in a fixed order. A part of no values
//! counts as nothing. Sums of small integers stay exact; a count above 2²⁴ is rounded to f32's 24 bits.
//!
//! Like [`functional`](super::functional) this submits nothing and allocates nothing. The *state* is
//! opaque, of [`state_len`] f32: what `finalize` leaves there for the steps that follow stays until the
//! next one, while the rest is space for each step, so that one state of the largest length serves all
//! tensors of a layer. Only the steps here take it.
//!
//! # Several micro-batches, or several processes
//!
//! ```no_run
//! use wgnorm::functional::{Backward, Forward};
//! use wgnorm::{BatchNormOptions, DType, Device, Tensor, moments};
//!
//! /// y and dx of two micro-batches [N, C, ...] by the statistics of both.
//! fn two(device: &Device, x: [&Tensor; 2], dy: [&Tensor; 2], channels: usize) -> wgnorm::Result<()> {
//!     let options = BatchNormOptions::default();
//!     let len = |x: &Tensor| moments::state_len(device, x.shape(), &options);
//!     let state = device.empty([len(x[0])?.max(len(x[1])?)], DType::F32)?;
//!     let parts = device.empty([2, channels, 4], DType::F32)?;
//!     let total = device.empty([channels, 4], DType::F32)?;
//!     let sum_parts = device.empty([2, channels, 2], DType::F32)?;
//!     let sums = device.empty([channels, 2], DType::F32)?;
//!
//!     let mut step = device.recorder();
//!     for (row, x) in x.into_iter().enumerate() {
//!         moments::partial(&mut step, x, &state, moments::Row::of(&parts, row), &options)?;
//!     }
//!     // Where there are other processes: submit, download `parts`, send them, upload all of them.
//!     moments::merge(&mut step, &[&parts], &total)?;
//!     moments::finalize(&mut step, &total, None, Some(&state), &options)?;
//!     for x in x {
//!         let y = device.empty(x.shape(), DType::F32)?;
//!         let forward = Forward { state: Some(&state), ..Forward::new(x, &y) };
//!         moments::normalize(&mut step, &forward, &options)?;
//!     }
//!
//!     let backward = |i: usize| Backward::new(x[i], dy[i], &state);
//!     for i in 0..2 {
//!         let row = moments::Row::of(&sum_parts, i);
//!         moments::partial_sums(&mut step, &backward(i), row, &options)?;
//!     }
//!     moments::merge_sums(&mut step, &[&sum_parts], &sums)?;
//!     for i in 0..2 {
//!         let dx = device.empty(x[i].shape(), DType::F32)?;
//!         let tensors = Backward { dx: Some(&dx), ..backward(i) };
//!         moments::backward(&mut step, &tensors, &sums, &options)?;
//!     }
//!     step.submit()
//! }
//! ```

mod backward;
mod forward;
mod moment;
mod rows;
mod step;

pub use backward::{backward, merge_sums, partial_sums};
pub use forward::{finalize, merge, normalize, partial};
pub use moment::Moment;
pub use rows::Row;
pub use step::state_len;
