//! The norms whose statistics are those of rows, the last dimensions of x.

use wgnorm::{LayerNormOptions, RmsNormOptions, View};

use super::Parsed;
use crate::file::Input;
use crate::keys;
use crate::step::Step;
use crate::tensors::Tensors;

pub(super) fn layer_norm(input: &mut Input<'_>) -> Parsed {
    let defaults = LayerNormOptions::default();
    let (tensors, normalized_dims) = rows(input)?;
    let options = LayerNormOptions {
        normalized_dims,
        eps: keys::eps(input, defaults.eps)?,
        activation: keys::activation(input)?,
        ..defaults
    };
    Ok(Box::new(Step::plain(options, tensors)))
}

pub(super) fn rms_norm(input: &mut Input<'_>) -> Parsed {
    let defaults = RmsNormOptions::default();
    let (tensors, normalized_dims) = rows(input)?;
    let options = RmsNormOptions {
        normalized_dims,
        eps: keys::eps(input, defaults.eps)?,
        activation: keys::activation(input)?,
        ..defaults
    };
    Ok(Box::new(Step::plain(options, tensors)))
}

fn rows(input: &mut Input<'_>) -> Result<(Tensors, usize), String> {
    keys::train(input)?;
    let normalized_dims = keys::normalized_dims(input)?;
    let tensors = Tensors::take(input)?;
    View::rows(&tensors.shape(), normalized_dims).map_err(|error| error.to_string())?;
    tensors.expect_rows(normalized_dims)?;
    Ok((tensors, normalized_dims))
}
