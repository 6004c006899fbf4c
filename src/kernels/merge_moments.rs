//! Host half of `shaders/merge_moments.wgsl`: one moment of each channel from many.

use super::channels::Merge;
use super::fold::Fold;
use super::{Flags, binding, body, lib};
use crate::Result;
use crate::gpu::{Prepared, Recorder};
use crate::plan::Channels;

pub(super) static KERNEL: Fold = Fold {
    name: "merge_moments",
    body: body!("merge_moments"),
    lib: lib!["channels", "workgroup"],
    flags: Flags(0),
    bindings: &[(binding::OUTPUT, "merged"), (binding::STATE, "parts")],
};

/// Prepares the dispatch.
pub(crate) fn prepare(
    merge: &Merge<'_>,
    recorder: &Recorder<'_>,
    channels: &Channels,
) -> Result<Prepared> {
    merge.prepare_with(&KERNEL, recorder, channels)
}
