//! A file made by hand for each framework, and back.

use wgnorm::state::{self, Convention, StateFile};
use wgnorm::{BatchNormOptions, GroupNormOptions, LayerNormOptions, Momentum, RunningVariance};

use crate::{Handmade, batch_norm};

/// The values of `batch_norm` under these names.
fn named(names: [&str; 4], tracked: Option<&str>) -> Vec<u8> {
    let file = Handmade::default()
        .f32(names[0], &[1.5, -2.0])
        .f32(names[1], &[0.25, 3.0])
        .f32(names[2], &[-7.0, 8.0])
        .f32(names[3], &[0.5, 9.0]);
    match tracked {
        Some(name) => file.count(name, 41).bytes(),
        None => file.bytes(),
    }
}

/// Reads it strictly, and what is written of it has the same tensors.
fn assert_read(bytes: &[u8], prefix: &str, convention: Convention, count: Option<u32>) {
    let file = StateFile::parse(bytes).unwrap();
    let state = file.at(prefix, convention).read().unwrap();
    assert_eq!(state, batch_norm(count), "{convention:?}");
    // A count that the convention has no place for is left out.
    let written = state::write(convention, [(prefix, batch_norm(count.or(Some(7))))]).unwrap();
    let again = StateFile::parse(&written).unwrap();
    assert!(again.names().eq(file.names()), "{convention:?}");
    assert_eq!(again.at(prefix, convention).read().unwrap(), state);
}

#[test]
fn pytorch() {
    let names =
        ["weight", "bias", "running_mean", "running_var"].map(|n| format!("layer4.1.bn2.{n}"));
    let tracked = "layer4.1.bn2.num_batches_tracked";
    let file = named(names.each_ref().map(String::as_str), Some(tracked));
    assert_read(&file, "layer4.1.bn2.", Convention::PyTorch, Some(41));
}

#[test]
fn keras() {
    let names = [
        "conv1_bn/gamma",
        "conv1_bn/beta",
        "conv1_bn/moving_mean",
        "conv1_bn/moving_variance",
    ];
    assert_read(&named(names, None), "conv1_bn/", Convention::Keras, None);
}

#[test]
fn flax() {
    let plain = ["bn.scale", "bn.bias", "bn.mean", "bn.var"];
    assert_read(&named(plain, None), "bn.", Convention::Flax, None);
    for (separator, prefix) in [(".", "params.block.bn."), ("/", "params/block/bn/")] {
        let names = [
            "params.block.bn.scale",
            "params.block.bn.bias",
            "batch_stats.block.bn.mean",
            "batch_stats.block.bn.var",
        ];
        let names = names.map(|name| name.replace('.', separator));
        let file = named(names.each_ref().map(String::as_str), None);
        assert_read(&file, prefix, Convention::Flax, None);
    }
    // A module that is merely called so has no collections.
    let names = [
        "params2.scale",
        "params2.bias",
        "params2.mean",
        "params2.var",
    ];
    assert_read(&named(names, None), "params2.", Convention::Flax, None);
}

#[test]
fn burn() {
    let names = [
        "backbone.norm.gamma",
        "backbone.norm.beta",
        "backbone.norm.running_mean",
        "backbone.norm.running_var",
    ];
    let file = named(names, None);
    assert_read(&file, "backbone.norm.", Convention::Burn, None);
}

#[test]
fn one_state_moves_from_any_convention_to_any_other() {
    use Convention::{Burn, Flax, Keras, PyTorch};
    let moved = [PyTorch, Keras, Flax, Burn, PyTorch].into_iter().try_fold(
        batch_norm(Some(3)),
        |state, convention| {
            let bytes = state::write(convention, [("a.", &state)])?;
            let file = StateFile::parse(&bytes)?;
            file.at("a.", convention).read()
        },
    );
    // Only PyTorch's files have a count, and always do.
    assert_eq!(moved.unwrap(), batch_norm(Some(0)));
}

#[test]
fn options_follow_the_convention() {
    use Convention::{Burn, Flax, Keras, PyTorch};
    use Momentum::{NewWeight, OldWeight};
    use RunningVariance::{Biased, Unbiased};
    let conventions = [PyTorch, Keras, Flax, Burn];
    let of_batches = conventions.map(|convention| {
        let options = BatchNormOptions::from(convention);
        (options.eps, options.momentum, options.running_variance)
    });
    assert_eq!(
        of_batches,
        [
            (1e-5, NewWeight(0.1), Unbiased),
            (1e-3, OldWeight(0.99), Biased),
            (1e-5, OldWeight(0.99), Biased),
            (1e-5, NewWeight(0.1), Biased),
        ]
    );
    assert_eq!(BatchNormOptions::from(PyTorch), BatchNormOptions::default());
    let of_samples = conventions.map(|convention| {
        let [layer, group] = [
            LayerNormOptions::from(convention).eps,
            GroupNormOptions::from(convention).eps,
        ];
        assert_eq!(layer, group);
        layer
    });
    assert_eq!(of_samples, [1e-5, 1e-3, 1e-6, 1e-5]);
}
