//! Which places of x are valid, where not all of them are.

use crate::file::{Input, Values};

/// Takes the mask where there is one, with a value for each place, which all channels share: not 0
/// where x is valid. The axis has to be one of x's.
pub(crate) fn take(
    input: &mut Input<'_>,
    x: &Values,
    channel_axis: usize,
) -> Result<Option<Vec<u32>>, String> {
    let Some((shape, bytes)) = input.take_bytes("mask")? else {
        return Ok(None);
    };
    let mut expected = x.shape.clone();
    expected.remove(channel_axis);
    if shape != expected {
        return Err(format!(
            "mask: expected {expected:?}, x's shape {:?} without the channel axis {channel_axis}, \
             got {shape:?}",
            x.shape
        ));
    }
    Ok(Some(bytes.into_iter().map(u32::from).collect()))
}
