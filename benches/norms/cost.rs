//! What an operation takes in the way in which it goes through its batch.

use wgnorm::functional::{Cost, Operation};
use wgnorm::{BatchNormOptions, Device, Momentum, Result, Strategy};

use crate::case::{Case, Op};
use crate::norm::Options;
use crate::operands::Operands;
use crate::way::Way;

/// What `op` takes.
pub(crate) fn of(device: &Device, case: &Case, operands: &Operands, op: Op) -> Result<Cost> {
    let options = case.options();
    let of = (&case.device_shape(), case.dtype);
    match case.way {
        Way::Whole if case.tail.has_residual() => {
            options.cost_with_residual(device, of, op.operation())
        }
        Way::Whole => options.cost(device, of, op.operation()),
        Way::Masked | Way::Pieces => in_steps(device, case, operands, op),
    }
}

/// What it takes where its statistics are steps of their own. The library does not tell that, so the
/// dispatches are those that are recorded, and the bytes those of what is never resident: a forward with
/// a cumulative mean.
fn in_steps(device: &Device, case: &Case, operands: &Operands, op: Op) -> Result<Cost> {
    let mut options = BatchNormOptions {
        momentum: Momentum::Cumulative,
        ..case.batch_options()
    };
    let strategy = &mut options.plan.strategy;
    *strategy = strategy.filter(|&strategy| strategy != Strategy::Resident);
    let (like, passes) = match op {
        Op::Inference => (Operation::Inference, 2),
        Op::Forward => (Operation::Forward, 3),
        Op::Backward => (Operation::Forward, 5),
    };
    let of = (&case.device_shape(), case.dtype);
    let cost = Options::Batch(options).cost(device, of, like)?;
    let mut recorder = device.recorder();
    recorder.trace();
    operands.record(&mut recorder, op)?;
    Ok(Cost {
        dispatches: recorder.traced().len() as u32,
        bytes: passes * case.bytes() + case.way.mask_bytes(op, case.n() as u64),
        ..cost
    })
}
