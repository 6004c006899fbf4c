//! Who has statistics of what, through the layers: pieces of a batch, frozen layers and recomputation.

use wgnorm::{
    BatchNorm, BatchNormOptions, Device, Error, Freeze, InstanceNorm, InstanceNormOptions,
    LayerNorm, LayerNormOptions, Mode, Shape, Tensor, moments,
};

use crate::bounds::{SUM, compare, l2, worst};
use crate::case::{Case, Inputs, Outputs};
use crate::{device, plans};

pub(crate) fn read(device: &Device, tensor: Option<&Tensor>) -> Vec<f32> {
    device.download(tensor.unwrap()).unwrap()
}

/// A layer with the parameters of the case.
pub(crate) fn layer(device: &Device, case: &Case, inputs: &Inputs) -> BatchNorm {
    let layer = BatchNorm::new(device, case.channels(), case.options).unwrap();
    for (tensor, values) in [
        (layer.gamma(), &inputs.gamma),
        (layer.beta(), &inputs.beta),
        (layer.running_mean(), &inputs.running_mean),
        (layer.running_var(), &inputs.running_var),
    ] {
        device.write(tensor.unwrap(), values).unwrap();
    }
    let tracked = layer.num_batches_tracked().unwrap();
    device.write(tracked, &[inputs.tracked]).unwrap();
    layer
}

/// Values of the case's shape in tensors of so many entries of its first dimension each.
pub(crate) fn cut(
    device: &Device,
    shape: &Shape,
    values: &[f32],
    entries: &[usize],
) -> Vec<Tensor> {
    let dims = shape.dims();
    let entry = shape.numel() / dims[0];
    let mut rest = values;
    let mut tensors = Vec::new();
    for &n in entries {
        let (piece, others) = rest.split_at(n * entry);
        let shape = [&[n], &dims[1..]].concat();
        tensors.push(device.upload(piece, shape).unwrap());
        rest = others;
    }
    assert!(rest.is_empty(), "the pieces are all");
    tensors
}

fn borrowed(tensors: &[Tensor]) -> Vec<&Tensor> {
    tensors.iter().collect()
}

fn joined(device: &Device, tensors: &[Tensor]) -> Vec<f32> {
    let all = tensors.iter().flat_map(|tensor| read(device, Some(tensor)));
    all.collect()
}

const PIECES: [(&[usize], usize, &[usize]); 4] = [
    (&[16, 3, 8, 8], 1, &[5, 0, 10, 1]),
    (&[6, 5, 7, 7], 1, &[1, 2, 3]),
    (&[64, 50], 1, &[1, 20, 43]),
    (&[4, 9, 7, 3], 3, &[3, 1]),
];

#[test]
fn a_batch_in_pieces_is_one_batch() {
    let Some(device) = &device() else { return };
    for (shape, axis, entries) in PIECES {
        let case = Case::new(shape, axis);
        for plan in plans::chosen() {
            let case = case.clone().planned(plan);
            let inputs = case.inputs();
            let norm = layer(device, &case, &inputs);
            let x = cut(device, &case.shape, &inputs.x, entries);
            let dy = cut(device, &case.shape, &inputs.dy, entries);
            let (x, dy) = (borrowed(&x), borrowed(&dy));
            let mut step = device.recorder();
            let (y, saved) = norm.forward_train_pieces(&mut step, &x).unwrap();
            let gradients = norm.backward_pieces(&mut step, &x, &dy, &saved).unwrap();
            step.submit().unwrap();

            let want = case.expected(&inputs);
            let statistics = saved.statistics(device).unwrap();
            let tracked = norm.num_batches_tracked().unwrap();
            let got = Outputs {
                y: joined(device, &y),
                mean: statistics.mean,
                rstd: statistics.rstd,
                var: want.var.iter().map(|&v| v as f32).collect(),
                running_mean: read(device, norm.running_mean()),
                running_var: read(device, norm.running_var()),
                tracked: device.download(tracked).unwrap()[0],
                dx: joined(device, &gradients.dx),
                dgamma: read(device, gradients.dgamma.as_ref()),
                dbeta: read(device, gradients.dbeta.as_ref()),
            };
            compare(&case, &inputs, &got, &want);
        }
    }
}

#[test]
fn pieces_that_no_statistics_can_be_of() {
    let Some(device) = &device() else { return };
    let norm = BatchNorm::new(device, 2, BatchNormOptions::default()).unwrap();
    let of = |n: usize| device.upload(&vec![1.0f32; 2 * n], [n, 2]).unwrap();
    let mut step = device.recorder();
    let mut refused =
        |pieces: &[&Tensor]| norm.forward_train_pieces(&mut step, pieces).unwrap_err();
    assert!(matches!(refused(&[]), Error::Missing { name: "x", .. }));
    let one = refused(&[&of(0), &of(1)]);
    assert!(matches!(one, Error::OneValuePerChannel { .. }), "{one}");
    let three = device.upload(&[1.0f32; 6], [2, 3]).unwrap();
    assert!(matches!(refused(&[&of(2), &three]), Error::Shape { .. }));

    let (_, saved) = norm
        .forward_train_pieces(&mut step, &[&of(1), &of(1)])
        .unwrap();
    let mut backward =
        |x: &[&Tensor], dy: &[&Tensor]| norm.backward_pieces(&mut step, x, dy, &saved);
    assert!(backward(&[&of(1), &of(1)], &[&of(1), &of(1)]).is_ok());
    let fewer = backward(&[&of(1), &of(1)], &[&of(1)]).unwrap_err();
    assert!(matches!(
        fewer,
        Error::Length {
            name: "dy",
            expected: 2,
            got: 1,
            ..
        }
    ));
    let other = backward(&[&of(1), &of(2)], &[&of(1), &of(2)]).unwrap_err();
    assert!(matches!(other, Error::Shape { name: "x", .. }), "{other}");

    norm.set_frozen(true);
    let frozen = norm.forward_train_pieces(&mut step, &[&of(2)]).unwrap_err();
    assert!(matches!(frozen, Error::Option { name: "frozen", .. }));
}

/// One allocation more each time, until there are enough of them.
#[test]
fn pieces_that_are_refused_midway_record_nothing() {
    if device().is_none() {
        return;
    }
    let device = &Device::new().unwrap();
    let norm = BatchNorm::new(device, 4, BatchNormOptions::default()).unwrap();
    let of = |n: usize| device.upload(&vec![1.0f32; 4 * n], [n, 4]).unwrap();
    let (x, dy) = ([300, 500].map(of), [300, 500].map(of));
    let (x, dy) = (x.each_ref(), dy.each_ref());
    let mut budget = device.memory_in_use();
    let mut partly = Vec::new();
    let whole = loop {
        device.release_pooled_memory();
        device.set_memory_budget(Some(budget));
        let mut step = device.recorder();
        step.trace();
        let forward = norm.forward_train_pieces(&mut step, &x);
        let dispatches = step.traced().len();
        let backward =
            forward.and_then(|(_, saved)| norm.backward_pieces(&mut step, &x, &dy, &saved));
        match backward {
            Ok(_) => break dispatches,
            Err(Error::OutOfMemory { needed, .. }) => budget += needed,
            Err(error) => panic!("{error}"),
        }
        assert_eq!(step.traced().len(), dispatches, "of a backward");
        partly.push(dispatches);
    };
    // Some forwards were refused, then some backwards.
    assert!(partly.contains(&0) && partly.contains(&whole), "{partly:?}");
    assert!(partly.iter().all(|n| [0, whole].contains(n)), "{partly:?}");
}

#[test]
fn a_frozen_layer_is_in_evaluation_and_keeps_its_backward() {
    let Some(device) = &device() else { return };
    let case = Case {
        mode: Mode::EVAL,
        ..Case::new([6, 5, 7, 7], 1)
    };
    let inputs = case.inputs();
    let norm = layer(device, &case, &inputs);
    let x = device.upload(&inputs.x, &case.shape).unwrap();
    let dy = device.upload(&inputs.dy, &case.shape).unwrap();
    let handle = norm.clone();
    assert!(!norm.is_frozen());
    [&handle].set_frozen(true);
    assert!(norm.is_frozen(), "handles freeze together");
    let mut step = device.recorder();
    let (y, saved) = norm.forward_train(&mut step, &x).unwrap();
    let gradients = norm.backward(&mut step, &x, &dy, &saved).unwrap();
    step.submit().unwrap();
    let statistics = saved.statistics(device).unwrap();
    let got = Outputs {
        y: read(device, Some(&y)),
        mean: statistics.mean,
        var: inputs.running_var.clone(),
        rstd: statistics.rstd,
        running_mean: read(device, norm.running_mean()),
        running_var: read(device, norm.running_var()),
        tracked: device
            .download(norm.num_batches_tracked().unwrap())
            .unwrap()[0],
        dx: read(device, Some(&gradients.dx)),
        dgamma: read(device, gradients.dgamma.as_ref()),
        dbeta: read(device, gradients.dbeta.as_ref()),
    };
    compare(&case, &inputs, &got, &case.expected(&inputs));

    norm.set_frozen(false);
    let mut step = device.recorder();
    norm.forward_train(&mut step, &x).unwrap();
    step.submit().unwrap();
    assert_ne!(read(device, norm.running_mean()), inputs.running_mean);
}

#[test]
fn a_list_of_any_norms_freezes() {
    let Some(device) = &device() else { return };
    let batch = BatchNorm::new(device, 3, BatchNormOptions::default()).unwrap();
    let layer = LayerNorm::new(device, [3], LayerNormOptions::default()).unwrap();
    let instance = InstanceNorm::new(3, InstanceNormOptions::default()).unwrap();
    let instance = instance.with_running_statistics(device).unwrap();
    let all: [&dyn Freeze; 3] = [&batch, &layer, &instance];
    assert!(!all.is_frozen());
    batch.set_frozen(true);
    assert!(!all.is_frozen(), "one of them is not all");
    all.set_frozen(true);
    assert!(all.is_frozen());
    let values: Vec<f32> = (0..24u8).map(f32::from).collect();
    let x = device.upload(&values, [2, 3, 4]).unwrap();
    let mut step = device.recorder();
    instance.forward_train(&mut step, &x).unwrap();
    // Without running statistics there is nothing to freeze.
    let x = device.upload(&values, [8, 3]).unwrap();
    let (y, _) = layer.forward_train(&mut step, &x).unwrap();
    let bare = batch.clone().without_running_statistics();
    let (by_itself, _) = bare.forward_train(&mut step, &x).unwrap();
    step.submit().unwrap();
    assert_eq!(read(device, instance.running_mean()), [0.0; 3]);
    assert_eq!(read(device, instance.running_var()), [1.0; 3]);
    let mean = |values: &[f32]| values.iter().sum::<f32>();
    assert!(mean(&read(device, Some(&y))).abs() < 1e-3);
    assert!(mean(&read(device, Some(&by_itself))).abs() < 1e-3);
}

/// A checkpointed step throws y and the state away and computes them again for the backward: the same
/// bits as without, and statistics that move once.
#[test]
fn a_recomputed_step_has_the_same_bits_and_counts_once() {
    let Some(device) = &device() else { return };
    let cases = [
        Case::new([8, 5, 7, 7], 1),
        Case::new([300, 64], 1),
        Case::new([2, 3, 64, 64], 1),
    ];
    for case in cases {
        for plan in plans::all(device, &case) {
            let case = case.clone().planned(plan);
            let inputs = case.inputs();
            let run = |checkpointed: bool| {
                let norm = layer(device, &case, &inputs);
                let x = device.upload(&inputs.x, &case.shape).unwrap();
                let dy = device.upload(&inputs.dy, &case.shape).unwrap();
                let mut step = device.recorder();
                let (mut y, mut saved) = norm.forward_train(&mut step, &x).unwrap();
                if checkpointed {
                    (y, saved) = norm.forward(&mut step, &x, Mode::RECOMPUTE).unwrap();
                }
                let gradients = norm.backward(&mut step, &x, &dy, &saved).unwrap();
                step.submit().unwrap();
                let tracked = norm.num_batches_tracked().unwrap();
                assert_eq!(
                    device.download::<u32>(tracked).unwrap(),
                    [inputs.tracked + 1]
                );
                [
                    Some(&y),
                    Some(&gradients.dx),
                    gradients.dgamma.as_ref(),
                    gradients.dbeta.as_ref(),
                    norm.running_mean(),
                    norm.running_var(),
                ]
                .map(|tensor| read(device, tensor))
            };
            assert!(run(true) == run(false), "{case:?}");
        }
    }
}

/// What [`moments`] says of a network whose batch is in several processes: each gives the sums of its
/// own for dgamma and dbeta, and their total is that of the whole.
#[test]
fn gradients_of_parameters_can_stay_those_of_one_process() {
    let Some(device) = &device() else { return };
    let case = Case::new([6, 4, 5], 1);
    let inputs = case.inputs();
    let x = cut(device, &case.shape, &inputs.x, &[4, 2]);
    let dy = cut(device, &case.shape, &inputs.dy, &[4, 2]);
    let norm = layer(device, &case, &inputs);
    let empty = |shape: &[usize]| device.empty(shape, wgnorm::DType::F32).unwrap();
    let len = moments::state_len(device, x[0].shape(), &case.options).unwrap();
    let (state, parts, total) = (empty(&[len]), empty(&[2, 4, 4]), empty(&[4, 4]));
    let mut step = device.recorder();
    for (i, x) in x.iter().enumerate() {
        let row = moments::Row::of(&parts, i);
        moments::partial(&mut step, x, &state, row, &case.options).unwrap();
    }
    moments::merge(&mut step, &[&parts], &total).unwrap();
    moments::finalize(&mut step, &total, None, Some(&state), &case.options).unwrap();
    let mut own = Vec::new();
    for (x, dy) in x.iter().zip(&dy) {
        let (sums, dgamma, dbeta) = (empty(&[4, 2]), empty(&[4]), empty(&[4]));
        let backward = wgnorm::functional::Backward {
            gamma: norm.gamma(),
            dgamma: Some(&dgamma),
            dbeta: Some(&dbeta),
            ..wgnorm::functional::Backward::new(x, dy, &state)
        };
        moments::partial_sums(&mut step, &backward, &sums, &case.options).unwrap();
        moments::backward(&mut step, &backward, &sums, &case.options).unwrap();
        own.push((dgamma, dbeta));
    }
    step.submit().unwrap();
    let want = case.expected(&inputs);
    let total = |of: &dyn Fn(&(Tensor, Tensor)) -> &Tensor| -> Vec<f32> {
        let each = own.iter().map(|pair| read(device, Some(of(pair))));
        let each: Vec<Vec<f32>> = each.collect();
        each[0].iter().zip(&each[1]).map(|(a, b)| a + b).collect()
    };
    let dgamma = total(&|own| &own.0);
    let dgamma = l2(&dgamma, &want.gradients.dgamma, &want.dgamma_terms);
    let dbeta = total(&|own| &own.1);
    let dbeta = worst(&dbeta, &want.gradients.dbeta, &want.dbeta_terms);
    assert!(dgamma <= SUM && dbeta <= SUM, "{dgamma:.1e} {dbeta:.1e}");
}
