//! The tensors of a norm as the file has them, and how they must fit each other.

use wgnorm::Shape;

use crate::file::{Input, Values};
use crate::keys;

/// What every norm of activations may have.
pub(crate) struct Tensors {
    pub(crate) x: Values,
    pub(crate) dy: Option<Values>,
    pub(crate) weight: Option<Values>,
    pub(crate) bias: Option<Values>,
}

impl Tensors {
    /// Takes them, and refuses what the norms do not fuse with yet.
    pub(crate) fn take(input: &mut Input<'_>) -> Result<Self, String> {
        keys::no_activation(input)?;
        for later in ["residual", "mask"] {
            if input.has_tensor(later) {
                return Err(format!("{later}: this tensor is not supported yet"));
            }
        }
        Ok(Self {
            x: required(input, "x")?,
            dy: input.take_tensor("dy")?,
            weight: input.take_tensor("weight")?,
            bias: input.take_tensor("bias")?,
        })
    }

    pub(crate) fn shape(&self) -> Shape {
        Shape::from(&self.x.shape)
    }

    /// Refuses gradients that are not shaped like x, and parameters that have not one element for
    /// each channel.
    pub(crate) fn expect_channels(&self, channels: usize) -> Result<(), String> {
        expect_alike("dy", self.dy.as_ref(), "x", &self.x)?;
        for (name, values) in [("weight", &self.weight), ("bias", &self.bias)] {
            expect_per_channel(name, values.as_ref(), channels, &self.x)?;
        }
        Ok(())
    }

    /// Refuses gradients that are not shaped like x, and parameters that are not shaped like the
    /// last dimensions of x.
    pub(crate) fn expect_rows(&self, normalized_dims: usize) -> Result<(), String> {
        expect_alike("dy", self.dy.as_ref(), "x", &self.x)?;
        let x = &self.x.shape;
        let normalized = &x[x.len() - normalized_dims..];
        for (name, values) in [("weight", &self.weight), ("bias", &self.bias)] {
            if let Some(values) = values.as_ref().filter(|values| values.shape != normalized) {
                let got = &values.shape;
                return Err(format!(
                    "{name}: expected {normalized:?}, the normalized shape of x {x:?}, got {got:?}"
                ));
            }
        }
        Ok(())
    }
}

pub(crate) fn required(input: &mut Input<'_>, name: &str) -> Result<Values, String> {
    let values = input.take_tensor(name)?;
    values.ok_or_else(|| format!("{name} is missing"))
}

/// Refuses a gradient that has another shape than what it belongs to.
pub(crate) fn expect_alike(
    name: &str,
    values: Option<&Values>,
    other: &str,
    like: &Values,
) -> Result<(), String> {
    match values.filter(|values| values.shape != like.shape) {
        Some(Values { shape, .. }) => Err(format!(
            "{name}: expected {other}'s shape {:?}, got {shape:?}",
            like.shape
        )),
        None => Ok(()),
    }
}

/// Refuses values that are not one for each channel of x, in whatever dimensions.
pub(crate) fn expect_per_channel(
    name: &str,
    values: Option<&Values>,
    channels: usize,
    x: &Values,
) -> Result<(), String> {
    let of = format!("one per channel of x {:?}", x.shape);
    values.map_or(Ok(()), |values| {
        expect_elements(name, values, channels, &of)
    })
}

/// Refuses another number of elements.
pub(crate) fn expect_elements(
    name: &str,
    values: &Values,
    elements: usize,
    what: &str,
) -> Result<(), String> {
    if values.data.len() == elements {
        return Ok(());
    }
    let got = &values.shape;
    Err(format!(
        "{name}: expected {elements} elements, {what}, got {got:?}"
    ))
}
