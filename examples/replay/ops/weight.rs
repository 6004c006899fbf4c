//! Weight norm, which has the shape of a step with other names: v for x and g for the weight.

use wgnorm::{Error, Shape, View, WeightNormOptions};

use super::Parsed;
use crate::file::{Input, Values};
use crate::keys;
use crate::step::{Names, Step};
use crate::tensors::{Tensors, expect_alike, expect_elements, required};

pub(super) fn weight_norm(input: &mut Input<'_>) -> Parsed {
    keys::train(input)?;
    let options = WeightNormOptions {
        dim: keys::dim(input)?,
        ..WeightNormOptions::default()
    };
    let v = required(input, "v")?;
    let g = required(input, "g")?;
    let dw = input.take_tensor("dw")?;
    let view = along("v", &v, options.dim)?;
    let each = format!("one per index of v {:?} along dim {}", v.shape, options.dim);
    expect_elements("g", &g, view.count, &each)?;
    expect_alike("dw", dw.as_ref(), "v", &v)?;
    let tensors = Tensors {
        x: v,
        dy: dw,
        weight: Some(g),
        bias: None,
        residual: None,
        mask: None,
    };
    Ok(Box::new(Step {
        names: Names {
            y: "w",
            dx: "dv",
            dweight: "dg",
        },
        ..Step::plain(options, tensors)
    }))
}

/// The view of a weight along a dimension, or the library's refusal in words about weights.
pub(super) fn along(name: &'static str, values: &Values, dim: usize) -> Result<View, String> {
    let shape = Shape::from(&values.shape);
    if (2..=dim).contains(&shape.rank()) {
        let error = Error::Shape {
            name,
            expected: format!("more than {dim} dimensions, since dim is {dim}"),
            got: shape,
        };
        return Err(error.to_string());
    }
    View::channels(&shape, dim).map_err(|error| match error {
        Error::Shape { expected, got, .. } => {
            let expected = expected.replace("channel along", "element along");
            Error::Shape {
                name,
                expected,
                got,
            }
            .to_string()
        }
        other => other.to_string(),
    })
}
