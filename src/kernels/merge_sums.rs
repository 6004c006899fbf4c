//! Host half of `shaders/merge_sums.wgsl`: the sums of a backward of each channel, added up.

use super::channels::Merge;
use super::fold::Fold;
use super::{Flags, binding, body, lib};
use crate::Result;
use crate::gpu::{Prepared, Recorder};
use crate::plan::Channels;

pub(super) static KERNEL: Fold = Fold {
    name: "merge_sums",
    body: body!("merge_sums"),
    lib: lib!["channels", "workgroup"],
    flags: Flags(0),
    bindings: &[(binding::OUTPUT, "merged"), (binding::STATE, "parts")],
};

/// Prepares the dispatch. The parts of a [`Merge`] from a state are counted in halves of its vectors.
pub(crate) fn prepare(
    merge: &Merge<'_>,
    recorder: &Recorder<'_>,
    channels: &Channels,
) -> Result<Prepared> {
    merge.prepare_with(&KERNEL, recorder, channels)
}
