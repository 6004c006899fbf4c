//! What a device stands: many threads at once, and many steps one after the other.

mod control;
mod injector;
mod memory;
mod mix;
mod recipes;
pub(crate) mod soak;
mod soaked;
pub(crate) mod threads;
