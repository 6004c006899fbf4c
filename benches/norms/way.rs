//! In which way batch norm sees its batch, and what its mask moves.

use clap::ValueEnum;

use crate::case::Op;

/// A way by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Way {
    Whole,
    /// Three quarters of the positions are valid.
    Masked,
    /// In two halves along its first dimension, by their moments.
    Pieces,
}

impl Way {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Masked => "masked",
            Self::Pieces => "pieces",
        }
    }

    /// Whether there is such an operation: the statistics of an inference are there before its pieces are.
    pub(crate) fn has(self, op: Op) -> bool {
        (self, op) != (Self::Pieces, Op::Inference)
    }

    /// What of a mask of so many positions nobody can do without: a forward is given 32 bits of each, and its
    /// backward needs one.
    pub(crate) fn ideal_mask_bytes(self, op: Op, positions: u64) -> u64 {
        match (self, op) {
            (Self::Whole | Self::Pieces, _) => 0,
            (Self::Masked, Op::Inference | Op::Forward) => 4 * positions,
            (Self::Masked, Op::Backward) => bits(positions),
        }
    }

    /// What of it the operation moves: a forward makes bits of it, and every dispatch that goes through the
    /// activation asks for those.
    pub(crate) fn mask_bytes(self, op: Op, positions: u64) -> u64 {
        let bits = bits(positions);
        match (self, op) {
            (Self::Whole | Self::Pieces, _) => 0,
            (Self::Masked, Op::Inference) => 4 * positions + 2 * bits,
            (Self::Masked, Op::Forward) => 4 * positions + 3 * bits,
            (Self::Masked, Op::Backward) => 2 * bits,
        }
    }
}

/// The bytes of so many bits, which are kept in words.
fn bits(positions: u64) -> u64 {
    4 * positions.div_ceil(32)
}
