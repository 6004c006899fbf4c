//! Holds the results of batch norm's relatives against float64.

use wgnorm::{Device, reference};

use crate::case::{Case, Op};
use crate::errors::{SUM, SUM_L2, l2, worst};
use crate::norm::Norm;
use crate::operands::{Inputs, Operands};
use crate::stored;
use crate::verify::{Verdict, gated, wide};

/// Judges a forward or a backward that has run.
pub(crate) fn verdict(
    device: &Device,
    case: &Case,
    inputs: &Inputs,
    operands: &Operands,
    op: Op,
) -> wgnorm::Result<Verdict> {
    let x = wide(&inputs.x);
    let residual = wide(&inputs.residual);
    let tail = case.tail.oracle(&residual);
    let (gamma, beta) = (wide(&inputs.gamma), wide(&inputs.beta));
    let (gamma, beta) = (Some(&gamma[..]), Some(&beta[..]));
    let (shape, axis) = (&case.device_shape(), case.channel_axis());
    // The defaults of the options.
    let (normalized_dims, eps) = (1, 1e-5);
    macro_rules! judge {
        ($oracle:expr) => {{
            let oracle = $oracle;
            if op == Op::Backward {
                let dy = gated(device, &tail, inputs, operands)?;
                let (want, terms) = (oracle.backward(&x, &dy), oracle.magnitudes(&x, &dy));
                let mut verdict = backward(device, operands, &want, &terms)?;
                verdict.hold_residual(device, operands, &dy)?;
                Ok(verdict)
            } else {
                let want = tail.apply(&oracle.forward(&x).y);
                let y = stored::read(device, &operands.y)?;
                Ok(Verdict::main("y", l2(&y, &want, &want), case.dtype))
            }
        }};
    }
    match case.norm {
        Norm::Layer => judge!(reference::LayerNorm {
            shape,
            normalized_dims,
            gamma,
            beta,
            eps
        }),
        Norm::Rms => judge!(reference::RmsNorm {
            shape,
            normalized_dims,
            gamma,
            beta,
            eps: f32::EPSILON.into()
        }),
        Norm::Group => judge!(reference::GroupNorm {
            shape,
            axis,
            groups: 8,
            gamma,
            beta,
            eps
        }),
        Norm::Batch | Norm::Instance => judge!(reference::InstanceNorm {
            shape,
            axis,
            gamma,
            beta,
            eps
        }),
    }
}

fn backward(
    device: &Device,
    operands: &Operands,
    want: &reference::Gradients,
    terms: &reference::Gradients,
) -> wgnorm::Result<Verdict> {
    let dx = stored::read(device, &operands.dx)?;
    let dtype = operands.dx.dtype();
    let mut verdict = Verdict::main("dx", l2(&dx, &want.dx, &want.dx), dtype);
    let dgamma = device.download(&operands.dgamma)?;
    verdict.hold("dgamma", l2(&dgamma, &want.dgamma, &terms.dgamma), SUM);
    let worst_dgamma = worst(&dgamma, &want.dgamma, &terms.dgamma);
    verdict.hold("the worst dgamma", worst_dgamma, SUM_L2);
    let dbeta = device.download(&operands.dbeta)?;
    verdict.hold("dbeta", worst(&dbeta, &want.dbeta, &terms.dbeta), SUM);
    Ok(verdict)
}
