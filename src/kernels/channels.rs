//! What the kernels that merge or finish what every channel has have in common: their uniform block,
//! whose WGSL half is shaders/lib/channels.wgsl, and how they are launched.

use super::fold::{Fold, Launch};
use super::{Flags, binding, present};
use crate::Result;
use crate::gpu::{Prepared, Recorder, Tensor};
use crate::plan::{Channels, Parts};

params! {
    /// `Params` of shaders/lib/channels.wgsl.
    ChannelsParams {
        grid_width: u32,
        groups: u32,
        count: u32,
        saved: u32,
        parts: u32,
        kept: u32,
        first: u32,
        channel_step: u32,
        part_step: u32,
        first_merged: u32,
        eps: f32,
        old_weight: f32,
        new_weight: f32,
        uncounted: f32,
    }
}

/// The vectors of a state before its partials: of each channel the statistics, and of how many values
/// they are.
pub(crate) const fn saved_vectors(channels: u32) -> u32 {
    2 * channels
}

/// How a statistic that was merged is finished.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Finish {
    pub(crate) flags: Flags,
    pub(crate) eps: f32,
    pub(crate) old_weight: f32,
    pub(crate) new_weight: f32,
    /// What is taken off the number of values for `running_var`.
    pub(crate) uncounted: f32,
}

/// What is merged, and where it goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Merge<'a> {
    /// Where the parts are; none where there are none.
    pub(crate) source: Option<&'a Tensor>,
    pub(crate) parts: Parts,
    /// The tensor and its row that they are merged to.
    pub(crate) merged: &'a Tensor,
    pub(crate) row: usize,
    /// Whether what is there is one more part, the first.
    pub(crate) keeps: bool,
}

impl Merge<'_> {
    /// Prepares the dispatch: a workgroup for each channel.
    pub(super) fn prepare_with(
        &self,
        kernel: &Fold,
        recorder: &Recorder<'_>,
        channels: &Channels,
    ) -> Result<Prepared> {
        let (groups, grid) = channels.workgroups()?;
        let kept = u32::from(self.keeps);
        let parameters = ChannelsParams {
            parts: self.parts.count + kept,
            kept,
            first: self.parts.first,
            channel_step: self.parts.channel_step,
            part_step: self.parts.part_step,
            // Both are bounded by what one binding holds.
            first_merged: self.row as u32 * channels.count,
            ..ChannelsParams::new(channels, groups, grid)
        };
        let tensors = present(&[
            (binding::OUTPUT, Some(self.merged)),
            (binding::STATE, self.source),
        ]);
        prepare(
            kernel,
            recorder,
            channels,
            Flags::default(),
            &parameters,
            &tensors,
        )
    }
}

impl ChannelsParams {
    fn new(channels: &Channels, groups: u32, grid: [u32; 2]) -> Self {
        Self {
            grid_width: grid[0],
            groups,
            count: channels.count,
            saved: saved_vectors(channels.count),
            ..bytemuck::Zeroable::zeroed()
        }
    }
}

/// Prepares a dispatch with a lane for each word that it makes, the first one at `first`, of so many parts.
pub(super) fn prepare_words(
    kernel: &Fold,
    recorder: &Recorder<'_>,
    words: &Channels,
    [parts, first]: [u32; 2],
    tensors: &[(u32, &Tensor)],
) -> Result<Prepared> {
    let (groups, grid) = words.lanes()?;
    let parameters = ChannelsParams {
        parts,
        first,
        ..ChannelsParams::new(words, groups, grid)
    };
    let flags = Flags::default();
    prepare(kernel, recorder, words, flags, &parameters, tensors)
}

/// Prepares a dispatch with a lane for each channel.
pub(super) fn prepare_finish(
    kernel: &Fold,
    recorder: &Recorder<'_>,
    channels: &Channels,
    finish: &Finish,
    tensors: &[(u32, &Tensor)],
) -> Result<Prepared> {
    let (groups, grid) = channels.lanes()?;
    let parameters = ChannelsParams {
        eps: finish.eps,
        old_weight: finish.old_weight,
        new_weight: finish.new_weight,
        uncounted: finish.uncounted,
        ..ChannelsParams::new(channels, groups, grid)
    };
    prepare(
        kernel,
        recorder,
        channels,
        finish.flags,
        &parameters,
        tensors,
    )
}

fn prepare(
    kernel: &Fold,
    recorder: &Recorder<'_>,
    channels: &Channels,
    flags: Flags,
    parameters: &ChannelsParams,
    tensors: &[(u32, &Tensor)],
) -> Result<Prepared> {
    let launch = Launch {
        reduce: channels.reduce,
        workgroup: channels.workgroup,
        grid: [
            parameters.grid_width,
            parameters.groups.div_ceil(parameters.grid_width),
        ],
        flags,
        parameters: bytemuck::bytes_of(parameters),
    };
    kernel.launch(recorder, &launch, tensors)
}
