//! The tensors of a norm as the file has them, and how they must fit each other.

use wgnorm::Shape;

use crate::file::{Input, Values};
use crate::mask::Mask;

/// What every norm of activations may have.
pub(crate) struct Tensors {
    pub(crate) x: Values,
    pub(crate) dy: Option<Values>,
    pub(crate) weight: Option<Values>,
    pub(crate) bias: Option<Values>,
    /// What is added to the norm, in x's shape and type.
    pub(crate) residual: Option<Values>,
    /// Which places of x are valid, those that are not 0; all of them where there is none. Only
    /// batch norm has one.
    pub(crate) mask: Option<Mask>,
}

impl Tensors {
    /// Takes all but the mask, and refuses a gradient and a residual that are not like x.
    pub(crate) fn take(input: &mut Input<'_>) -> Result<Self, String> {
        let x = input.take_activation("x")?.ok_or("x is missing")?;
        let alike = |input: &mut Input<'_>, name| {
            let values = input.take_activation(name)?;
            expect_alike(name, values.as_ref(), "x", &x)?;
            Ok::<_, String>(values)
        };
        Ok(Self {
            dy: alike(input, "dy")?,
            residual: alike(input, "residual")?,
            weight: input.take_tensor("weight")?,
            bias: input.take_tensor("bias")?,
            mask: None,
            x,
        })
    }

    /// Whether x has statistics: something in it, and of a mask two valid places.
    pub(crate) fn count_as_batch(&self) -> bool {
        let valid = |mask: &Mask| mask.places.iter().filter(|&&valid| valid != 0).count();
        let valid = self.mask.as_ref().map(valid);
        !self.x.data.is_empty() && valid.is_none_or(|valid| valid >= 2)
    }

    pub(crate) fn shape(&self) -> Shape {
        Shape::from(&self.x.shape)
    }

    /// Refuses parameters that have not one element for each channel.
    pub(crate) fn expect_channels(&self, channels: usize) -> Result<(), String> {
        for (name, values) in [("weight", &self.weight), ("bias", &self.bias)] {
            expect_per_channel(name, values.as_ref(), channels, &self.x)?;
        }
        Ok(())
    }

    /// Refuses parameters that are not shaped like the last dimensions of x.
    pub(crate) fn expect_rows(&self, normalized_dims: usize) -> Result<(), String> {
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

/// Refuses values of another shape or type than those that they belong to.
pub(crate) fn expect_alike(
    name: &str,
    values: Option<&Values>,
    other: &str,
    like: &Values,
) -> Result<(), String> {
    let Some(Values { shape, data }) = values else {
        return Ok(());
    };
    if *shape != like.shape {
        let expected = &like.shape;
        return Err(format!(
            "{name}: expected {other}'s shape {expected:?}, got {shape:?}"
        ));
    }
    let (expected, got) = (like.data.dtype(), data.dtype());
    if got != expected {
        return Err(format!(
            "{name}: expected {other}'s element type {expected}, got {got}"
        ));
    }
    Ok(())
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
