//! What an operation is said to take, with what follows the norm.

use wgnorm::functional::{Cost, Operation, cost, cost_with_residual};
use wgnorm::{
    Activation, BatchNormOptions, DeviceClass, GroupNormOptions, LayerNormOptions, PlanOptions,
    Shape, Strategy,
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
fn taken(cost: &Cost, shape: &Shape) -> (u32, u64, u64) {
    let pass = 4 * shape.numel() as u64;
    let bits = cost.bytes % pass;
    (cost.dispatches, cost.bytes / pass, bits)
}

const OPERATIONS: [Operation; 3] = [
    Operation::Inference,
    Operation::Forward,
    Operation::Backward,
];

#[test]
fn an_activation_alone_costs_nothing() {
    let Some(device) = device() else { return };
    let shape = Shape::from([4, 4, 16, 16]);
    for strategy in [Strategy::SplitRows, Strategy::Resident] {
        for operation in OPERATIONS {
            let of = |activation| {
                let options = batch(activation, Some(strategy));
                cost(device, &shape, &options, operation).unwrap()
            };
            assert_eq!(of(Activation::None), of(Activation::Relu));
        }
    }
}

#[test]
fn a_residual_is_one_more_pass() {
    let Some(device) = device() else { return };
    let shape = Shape::from([4, 4, 16, 16]);
    let forced = |strategy, activation, operation| {
        let options = batch(activation, Some(strategy));
        let cost = cost_with_residual(device, &shape, &options, operation).unwrap();
        taken(&cost, &shape)
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
        let got = OPERATIONS.map(|operation| forced(strategy, activation, operation));
        assert_eq!(got, expected, "{strategy:?}, {activation:?}");
    }
}

#[test]
fn gated_gradients_of_other_gains() {
    let Some(device) = device() else { return };
    let backward = Operation::Backward;
    // Elements with gains of their own: dresidual comes first, from dy and the bits.
    let rows = Shape::from([512, 256]);
    let mut options = LayerNormOptions::default();
    let plain = cost(device, &rows, &options, backward).unwrap();
    options.activation = Activation::Relu;
    let gated = cost_with_residual(device, &rows, &options, backward).unwrap();
    assert_eq!(gated.strategy, plain.strategy);
    assert_eq!(gated.dispatches, plain.dispatches + 1);
    let (_, passes, bits) = taken(&gated, &rows);
    assert_eq!((passes, bits), (5, rows.numel() as u64 / 8));
    // Slots that share a gain: the pass that writes dx writes dresidual too.
    let shape = Shape::from([4, 8, 16, 16]);
    let mut options = GroupNormOptions {
        groups: 2,
        ..GroupNormOptions::default()
    };
    options.activation = Activation::Relu;
    let plain = cost(device, &shape, &options, backward).unwrap();
    let gated = cost_with_residual(device, &shape, &options, backward).unwrap();
    assert_eq!(gated.dispatches, plain.dispatches);
    assert!(gated.bytes > plain.bytes + 4 * shape.numel() as u64);
}
