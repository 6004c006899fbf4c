//! The switches of one dispatch; the WGSL half is shaders/lib/flags.wgsl.

use std::ops::BitOr;

/// A set of switches, see the constants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(pub(crate) u32);

impl Flags {
    pub(crate) const HAS_GAMMA: Self = Self(1);
    pub(crate) const HAS_BETA: Self = Self(2);
    pub(crate) const USE_RUNNING: Self = Self(4);
    pub(crate) const UPDATE_RUNNING: Self = Self(8);
    pub(crate) const CUMULATIVE: Self = Self(16);
    pub(crate) const HAS_TRACKED: Self = Self(32);
    pub(crate) const SAVE: Self = Self(64);
    pub(crate) const WANT_DX: Self = Self(128);
    pub(crate) const WANT_DGAMMA: Self = Self(256);
    pub(crate) const WANT_DBETA: Self = Self(512);
    pub(crate) const ONE_PARTIAL: Self = Self(1024);
    pub(crate) const GROUPED: Self = Self(2048);
    pub(crate) const NO_MEAN: Self = Self(4096);
    pub(crate) const CORRECTED: Self = Self(8192);
    pub(crate) const ONE_ROW: Self = Self(16_384);
    pub(crate) const GAIN_SUMS: Self = Self(32_768);
    pub(crate) const RELU: Self = Self(65_536);
    pub(crate) const GATED: Self = Self(131_072);
    pub(crate) const WANT_DRESIDUAL: Self = Self(262_144);
    pub(crate) const MASKED: Self = Self(524_288);
    pub(crate) const SAVED: Self = Self(1_048_576);
    pub(crate) const FULL: Self = Self(2_097_152);

    /// The set itself where `condition` holds, else none.
    pub(crate) fn when(self, condition: bool) -> Self {
        if condition { self } else { Self(0) }
    }

    /// Both sets together.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both sets.
    pub(crate) const fn only(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Every switch under its name in the shaders.
    pub(crate) const NAMED: [(&str, Self); 22] = [
        ("HAS_GAMMA", Self::HAS_GAMMA),
        ("HAS_BETA", Self::HAS_BETA),
        ("USE_RUNNING", Self::USE_RUNNING),
        ("UPDATE_RUNNING", Self::UPDATE_RUNNING),
        ("CUMULATIVE", Self::CUMULATIVE),
        ("HAS_TRACKED", Self::HAS_TRACKED),
        ("SAVE", Self::SAVE),
        ("WANT_DX", Self::WANT_DX),
        ("WANT_DGAMMA", Self::WANT_DGAMMA),
        ("WANT_DBETA", Self::WANT_DBETA),
        ("ONE_PARTIAL", Self::ONE_PARTIAL),
        ("GROUPED", Self::GROUPED),
        ("NO_MEAN", Self::NO_MEAN),
        ("CORRECTED", Self::CORRECTED),
        ("ONE_ROW", Self::ONE_ROW),
        ("GAIN_SUMS", Self::GAIN_SUMS),
        ("RELU", Self::RELU),
        ("GATED", Self::GATED),
        ("WANT_DRESIDUAL", Self::WANT_DRESIDUAL),
        ("MASKED", Self::MASKED),
        ("SAVED", Self::SAVED),
        ("FULL", Self::FULL),
    ];
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
