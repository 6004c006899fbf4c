//! What the kernels take at once.

use super::{Gains, Reduction};
use crate::gpu::DType;

/// What a word of the kernels is, named after what a buffer holds; see shaders/lib/element_*.wgsl.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Word {
    F32,
    F32x4,
    /// Four f32 that a software driver loads and stores faster as two 64-bit integers.
    U64x2,
    /// Two 16-bit elements: the least that a kernel can write.
    U32(Half),
    /// Four of them.
    U32x2(Half),
    /// Four of them that a software driver loads at once.
    U64(Half),
    /// One of them, for kernels that only read.
    Single(Half),
}

/// A 16-bit element type, whose snippets are `element_f16.wgsl` and `element_bf16.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Half {
    F16,
    Bf16,
}

impl Word {
    /// The most elements of any word.
    pub(crate) const WIDEST: usize = 4;

    /// Elements in a word.
    pub(crate) const fn width(self) -> usize {
        match self {
            Self::F32 | Self::Single(_) => 1,
            Self::U32(_) => 2,
            Self::F32x4 | Self::U64x2 | Self::U32x2(_) | Self::U64(_) => Self::WIDEST,
        }
    }

    /// A number for each.
    pub(crate) const fn index(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F32x4 => 1,
            Self::U64x2 => 2,
            Self::U32(half) => 4 + half as u32,
            Self::U32x2(half) => 6 + half as u32,
            Self::U64(half) => 8 + half as u32,
            Self::Single(half) => 10 + half as u32,
        }
    }

    /// Whether a device needs 64-bit integers for it.
    pub(crate) const fn is_int64(self) -> bool {
        matches!(self, Self::U64x2 | Self::U64(_))
    }
}

/// The words that an element type can be seen in.
#[derive(Clone, Copy)]
pub(crate) struct Words {
    /// Four elements.
    pub(crate) wide: Word,
    /// As few as a kernel can write.
    pub(crate) narrow: Word,
    /// One element.
    pub(crate) single: Word,
}

impl Words {
    /// Of an activation's type, in 64-bit integers or not.
    pub(super) fn of(dtype: DType, int64: bool) -> Self {
        let half = match dtype {
            DType::F16 => Half::F16,
            DType::Bf16 => Half::Bf16,
            DType::F32 | DType::U32 => {
                let wide = if int64 { Word::U64x2 } else { Word::F32x4 };
                return Self {
                    wide,
                    narrow: Word::F32,
                    single: Word::F32,
                };
            }
        };
        Self {
            wide: if int64 {
                Word::U64(half)
            } else {
                Word::U32x2(half)
            },
            narrow: Word::U32(half),
            single: Word::Single(half),
        }
    }

    /// Whether a kernel can write whatever the words are that it sees.
    pub(super) fn are_all_writable(self) -> bool {
        self.narrow == self.single
    }

    /// Whether columns of these words can begin with every batch entry.
    pub(super) fn fill_entries(self, reduction: &Reduction) -> bool {
        let entry = reduction.view.slot_len() * reduction.view.count;
        entry.is_multiple_of(self.narrow.width()) || reduction.gains == Gains::Across
    }
}
