//! The operations by their names: a parser each, which checks all that can be known without a device.

use wgnorm::Device;

use crate::file::{Input, Output};

mod channels;
mod rows;
mod spectral;
mod weight;

/// A request that nothing but the device can still refuse.
pub(crate) trait Operation {
    fn run(&self, device: &Device) -> wgnorm::Result<Vec<Output>>;
}

type Parsed = Result<Box<dyn Operation>, String>;
type Parser = fn(&mut Input<'_>) -> Parsed;

const OPS: [(&str, Parser); 8] = [
    ("batch_norm", channels::batch_norm),
    ("layer_norm", rows::layer_norm),
    ("rms_norm", rows::rms_norm),
    ("group_norm", channels::group_norm),
    ("instance_norm", channels::instance_norm),
    ("batch_renorm", channels::batch_renorm),
    ("weight_norm", weight::weight_norm),
    ("spectral_norm", spectral::spectral_norm),
];

pub(crate) fn parse(mut input: Input<'_>) -> Parsed {
    let op = input.take_metadata("op").ok_or("metadata: op is missing")?;
    let Some((op, parser)) = OPS.into_iter().find(|(name, _)| *name == op) else {
        let known = OPS.map(|(name, _)| name).join(", ");
        return Err(format!("op: expected one of {known}, got {op:?}"));
    };
    let operation = parser(&mut input)?;
    input.finish(op)?;
    Ok(operation)
}
