//! What an operation is said to take, with what follows the norm.

use wgnorm::functional::{Cost, Operation, cost, cost_with_residual};
use wgnorm::{
    Activation, BatchNormOptions, DType, DeviceClass, GroupNormOptions, LayerNormOptions,
    PlanOptions, Shape, Strategy,
};

use crate::device;

fn batch(activation: Activation, strategy: Option<Strategy>) -> BatchNormOptions {
    BatchNormOptions {
        activation,
        plan: PlanOptions {
            strategy,
            class: Some(DeviceClass::Cpu),
        },
        ..BatchNormOptions::default()
    }
}

/// Dispatches, and bytes in activations and in the bits that are kept of one.
fn taken(cost: &Cost, shape: &Shape, dtype: DType) -> (u32, u64, u64) {
    let pass = dtype.bytes(shape);
    let bits = cost.bytes % pass;
    (cost.dispatches, cost.bytes / pass, bits)
}

const DTYPES: [DType; 3] = [DType::F32, DType::F16, DType::Bf16];

const OPERATIONS: [Operation; 3] = [
    Operation::Inference,
    Operation::Forward,
    Operation::Backward,
];

#[test]
fn an_activation_alone_costs_nothing() {
    let Some(device) = &device() else { return };
    let shape = Shape::from([4, 4, 16, 16]);
    for strategy in [Strategy::SplitRows, Strategy::Resident] {
        for operation in OPERATIONS {
            let of = |activation| {
                let options = batch(activation, Some(strategy));
                cost(device, &shape, DType::F32, &options, operation).unwrap()
            };
            assert_eq!(of(Activation::None), of(Activation::Relu));
        }
    }
}

#[test]
fn a_residual_is_one_more_pass() {
    let Some(device) = &device() else { return };
    let shape = Shape::from([4, 4, 16, 16]);
    let forced = |dtype, strategy, activation, operation| {
        let options = batch(activation, Some(strategy));
        let cost = cost_with_residual(device, &shape, dtype, &options, operation).unwrap();
        taken(&cost, &shape, dtype)
    };
    let (split, resident) = (Strategy::SplitRows, Strategy::Resident);
    // Inference keeps nothing, a forward a bit of each element, and each dispatch of a backward asks
    // for it.
    let bits = shape.numel() as u64 / 8;
    for (strategy, activation, expected) in [
        (split, Activation::None, [(1, 3, 0), (2, 4, 0), (2, 6, 0)]),
        (
            split,
            Activation::Relu,
            [(1, 3, 0), (2, 4, bits), (2, 6, 2 * bits)],
        ),
        (
            resident,
            Activation::None,
            [(1, 3, 0), (2, 3, 0), (1, 4, 0)],
        ),
        (
            resident,
            Activation::Relu,
            [(1, 3, 0), (2, 3, bits), (1, 4, bits)],
        ),
    ] {
        for dtype in DTYPES {
            let got = OPERATIONS.map(|operation| forced(dtype, strategy, activation, operation));
            assert_eq!(got, expected, "{dtype}, {strategy:?}, {activation:?}");
        }
    }
}

#[test]
fn ragged_rows_reduce_dy_first() {
    let Some(device) = &device() else { return };
    // Words straddle planes of 7 x 7.
    let shape = Shape::from([32, 16, 7, 7]);
    for dtype in DTYPES {
        let of = |activation, operation| {
            let options = batch(activation, Some(Strategy::SplitRows));
            let cost = cost_with_residual(device, &shape, dtype, &options, operation).unwrap();
            taken(&cost, &shape, dtype)
        };
        let (dispatches, passes, bits) = of(Activation::Relu, Operation::Forward);
        assert_eq!((dispatches, passes), (2, 4), "{dtype}");
        let least = shape.numel() as u64 / 8;
        assert!(bits >= least, "{dtype}: {bits} of {least}");
        // dresidual comes first, from dy and the bits, and the backward of what follows goes on from it.
        assert_eq!(of(Activation::Relu, Operation::Backward), (3, 7, bits));
        // Without an activation it is a copy of dy, which the last dispatch stores.
        assert_eq!(of(Activation::None, Operation::Backward), (2, 6, 0));
    }
}

#[test]
fn gated_gradients_of_other_gains() {
    let Some(device) = &device() else { return };
    let backward = Operation::Backward;
    // Elements with gains of their own: dresidual comes first, of dy and the bits.
    let rows = Shape::from([512, 256]);
    let mut options = LayerNormOptions::default();
    let plain = cost(device, &rows, DType::F32, &options, backward).unwrap();
    options.activation = Activation::Relu;
    let gated = cost_with_residual(device, &rows, DType::F32, &options, backward).unwrap();
    assert_eq!(gated.strategy, plain.strategy);
    assert_eq!(gated.dispatches, plain.dispatches + 1);
    // What holds a row loads x beside dy, of which dresidual is made.
    let (_, passes, bits) = taken(&gated, &rows, DType::F32);
    assert_eq!((passes, bits), (6, rows.numel() as u64 / 8));
    // Slots that share a gain: the pass that writes dx writes dresidual too.
    let shape = Shape::from([4, 8, 16, 16]);
    let mut options = GroupNormOptions {
        groups: 2,
        ..GroupNormOptions::default()
    };
    options.activation = Activation::Relu;
    let plain = cost(device, &shape, DType::F32, &options, backward).unwrap();
    let gated = cost_with_residual(device, &shape, DType::F32, &options, backward).unwrap();
    assert_eq!(gated.dispatches, plain.dispatches);
    assert!(gated.bytes > plain.bytes + 4 * shape.numel() as u64);
}
