//! What the examples that train on the digits share: the data, the network with its norms, the
//! training step and the drawing. Start reading in `norm.rs`, where the network meets wgnorm.

pub(crate) mod data;
pub(crate) mod drawing;
pub(crate) mod network;
pub(crate) mod norm;
pub(crate) mod optimizer;
pub(crate) mod several;
pub(crate) mod training;
