//! Which places of x are valid, where not all of them are.

use crate::file::{Input, Values};

/// A value for each place, not 0 where x is valid, and x's shape without its channels.
pub(crate) struct Mask {
    pub(crate) places: Vec<u32>,
    pub(crate) shape: Vec<usize>,
}

/// Takes the mask where there is one, with a value for each place, which all channels share: not 0
/// where x is valid. The axis has to be one of x's.
pub(crate) fn take(
    input: &mut Input<'_>,
    x: &Values,
    channel_axis: usize,
) -> Result<Option<Mask>, String> {
    let Some(mask) = input.take_bytes("mask")? else {
        return Ok(None);
    };
    let mut expected = x.shape.clone();
    expected.remove(channel_axis);
    if mask.shape() != expected {
        return Err(format!(
            "mask: expected {expected:?}, x's shape {:?} without the channel axis {channel_axis}, \
             got {:?}",
            x.shape,
            mask.shape()
        ));
    }
    Ok(Some(Mask {
        places: mask.data().iter().copied().map(u32::from).collect(),
        shape: expected,
    }))
}
