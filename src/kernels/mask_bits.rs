//! Host half of `shaders/mask_bits.wgsl`: a mask as bits in the state.

use super::channels::prepare_words;
use super::fold::Fold;
use super::{Flags, binding, body, lib};
use crate::Result;
use crate::gpu::{Prepared, Recorder, Tensor};
use crate::plan::Channels;

pub(super) static KERNEL: Fold = Fold {
    name: "mask_bits",
    body: body!("mask_bits"),
    lib: lib!["channels", "workgroup"],
    flags: Flags(0),
    bindings: &[(binding::OUTPUT, "mask"), (binding::STATE, "state")],
};

/// The tensors of the dispatch, and the word of the state that takes the first bits.
pub(crate) struct MaskBits<'a> {
    pub(crate) mask: &'a Tensor,
    pub(crate) state: &'a Tensor,
    pub(crate) first: u32,
}

impl MaskBits<'_> {
    /// `words` counts the words of bits as channels.
    pub(crate) fn prepare(&self, recorder: &Recorder<'_>, words: &Channels) -> Result<Prepared> {
        let tensors = [(binding::OUTPUT, self.mask), (binding::STATE, self.state)];
        let positions = self.mask.shape().numel() as u32;
        prepare_words(&KERNEL, recorder, words, [positions, self.first], &tensors)
    }
}
