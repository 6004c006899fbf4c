//! What follows a norm in the same dispatches, and what it may cost.

use clap::ValueEnum;
use wgnorm::{Activation, reference};

use crate::case::Op;

/// A tail by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Tail {
    None,
    Relu,
    Residual,
    ResidualRelu,
}

/// By how much the operation itself may be slower for its tail.
const SLACK: f64 = 1.05;

/// What the loads and the stores of one pass over an activation take, by probes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    pub(crate) load_ns: f64,
    pub(crate) store_ns: f64,
}

/// Passes over an activation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Extra {
    pub(crate) loads: f64,
    pub(crate) stores: f64,
}

impl Tail {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Relu => "relu",
            Self::Residual => "residual",
            Self::ResidualRelu => "residual_relu",
        }
    }

    pub(crate) fn activation(self) -> Activation {
        if self.has_relu() {
            Activation::Relu
        } else {
            Activation::None
        }
    }

    pub(crate) fn has_relu(self) -> bool {
        matches!(self, Self::Relu | Self::ResidualRelu)
    }

    pub(crate) fn has_residual(self) -> bool {
        matches!(self, Self::Residual | Self::ResidualRelu)
    }

    pub(crate) fn oracle(self, residual: &[f64]) -> reference::Tail<'_> {
        reference::Tail {
            residual: self.has_residual().then_some(residual),
            relu: self.has_relu(),
        }
    }

    /// The passes that no implementation can do without.
    pub(crate) fn ideal_passes(self) -> f64 {
        f64::from(u8::from(self.has_residual()))
    }

    /// What goes by besides what the operation itself loads and stores: the residual or its gradient, and
    /// the gates.
    pub(crate) fn extra(self, op: Op, is_split: bool, bits: f64) -> Extra {
        let residual = self.ideal_passes();
        let gates = self.gates(op, is_split, bits);
        match op {
            Op::Backward => Extra {
                stores: residual,
                ..gates
            },
            _ => Extra {
                loads: residual,
                ..gates
            },
        }
    }

    /// The bits of what passed the activation, which each dispatch of a backward asks for where they were
    /// kept; `bits` is what a bit of each element is of a pass.
    pub(crate) fn gates(self, op: Op, is_split: bool, bits: f64) -> Extra {
        let (loads, stores) = match op {
            _ if self != Self::ResidualRelu => (0.0, 0.0),
            Op::Inference => (0.0, 0.0),
            Op::Forward => (0.0, bits),
            Op::Backward if is_split => (2.0 * bits, 0.0),
            Op::Backward => (bits, 0.0),
        };
        Extra { loads, stores }
    }
}

impl Extra {
    /// What it takes at the rates of the probes, or at the copy's where nothing was probed.
    pub(crate) fn ns(self, rates: Option<Rates>, copy_ns: f64) -> f64 {
        let rates = rates.unwrap_or(Rates {
            load_ns: copy_ns / 2.0,
            store_ns: copy_ns / 2.0,
        });
        self.loads * rates.load_ns + self.stores * rates.store_ns
    }
}

/// The most that an operation with a tail may take.
pub(crate) fn allowed_ns(plain_ns: f64, extra_ns: f64) -> f64 {
    SLACK * plain_ns + extra_ns
}
