//! Memory that runs out at each allocation in turn, by a budget: software drivers end the process where
//! it really does.

use wgnorm::{
    BatchNorm, BatchNormOptions, Device, Error, LayerNorm, LayerNormOptions, SpectralNorm,
    SpectralNormOptions, WeightNorm, WeightNormOptions, With,
};

use super::child::quickly;
use super::right::{RIGHT, either, expect_on_a_new_device};

/// The results of a program, by which two runs of it are compared.
type Results = Vec<Vec<f32>>;

fn values(len: usize) -> Vec<f32> {
    (0..len)
        .map(|i| ((i * 53) % 97) as f32 * 0.25 - 8.0)
        .collect()
}

/// Layers from their making to what comes back: batch norm with a residual and with a mask, layer norm,
/// and both norms of weights.
fn program(device: &Device) -> Result<Results, Error> {
    let shape = [12, 5, 20];
    let x = device.upload(&values(1200), shape)?;
    let residual = device.upload(&vec![0.5f32; 1200], shape)?;
    let mask = device.upload(&vec![1u32; 240], [12, 20])?;
    let weight = device.upload(&values(60), [6, 10])?;
    let batch = BatchNorm::new(device, 5, BatchNormOptions::default())?;
    let layer = LayerNorm::new(device, [20], LayerNormOptions::default())?;
    let length = WeightNorm::new(device, &values(60), [6, 10], WeightNormOptions::default())?;

    let mut step = device.recorder();
    let spectral = SpectralNorm::new(&mut step, &weight, SpectralNormOptions::default())?;
    let with = [
        With {
            residual: Some(&residual),
            mask: None,
        },
        With {
            residual: None,
            mask: Some(&mask),
        },
    ];
    let mut results = Vec::new();
    for with in with {
        let (y, saved) = batch.forward_with(&mut step, &x, with, wgnorm::Mode::TRAIN)?;
        let gradients = batch.backward(&mut step, &x, &y, &saved)?;
        results.extend([y, gradients.dx]);
    }
    results.push(batch.infer(&mut step, &x)?);
    let (y, saved) = layer.forward_train(&mut step, &x)?;
    results.push(layer.backward(&mut step, &x, &y, &saved)?.dx);
    let (w, saved) = length.forward(&mut step, &weight)?;
    results.push(length.backward(&mut step, &weight, &w, &saved)?.dv);
    let (w, saved) = spectral.forward_train(&mut step, &weight)?;
    results.push(spectral.backward(&mut step, &weight, &w, &saved)?);
    step.submit()?;
    results
        .iter()
        .map(|tensor| device.download(tensor))
        .collect()
}

/// Lets a program have one allocation more each time, from none on, until it comes through: what it is
/// refused is what its budget grows by. `refused` is called after each refusal, with no budget.
fn one_more_each_time<T>(
    device: &Device,
    name: &str,
    mut program: impl FnMut() -> Result<T, Error>,
    mut refused: impl FnMut(),
) -> (T, u32) {
    device.release_pooled_memory();
    let mut budget = device.memory_in_use();
    let mut refusals = 0;
    loop {
        device.release_pooled_memory();
        device.set_memory_budget(Some(budget));
        let result = quickly(name, &mut program);
        assert!(device.memory_in_use() <= budget, "the budget was exceeded");
        device.set_memory_budget(None);
        match result {
            Ok(result) => return (result, refusals),
            Err(Error::OutOfMemory { needed, .. }) => budget += needed,
            Err(error) => panic!("refusal {refusals}: {error}"),
        }
        refused();
        refusals += 1;
    }
}

pub(super) fn of_a_program(repetition: u64) {
    let (warm, device) = (either(repetition), either(repetition));
    let right = program(&warm).unwrap();
    drop(warm);
    let (results, refusals) = one_more_each_time(
        &device,
        "a program out of memory",
        || program(&device),
        || (),
    );
    assert!(results == right, "other bits after {refusals} refusals");
    // Everything that this program ever allocates was refused once.
    assert!(refusals >= 60, "only {refusals} allocations were refused");
    RIGHT.expect_on(&device);
    drop(device);
    expect_on_a_new_device();
}

pub(super) fn of_a_step(repetition: u64) {
    let device = either(repetition);
    RIGHT.expect_on(&device);
    let shape = [12, 5, 20];
    let layer = BatchNorm::new(&device, 5, BatchNormOptions::default()).unwrap();
    let x = device.upload(&values(1200), shape).unwrap();
    let before = layer.state(&device).unwrap();
    device.release_pooled_memory();
    let held = device.memory_in_use();
    let step = || {
        let mut recorder = device.recorder();
        match layer.forward_train(&mut recorder, &x) {
            Ok((y, saved)) => {
                let gradients = layer.backward(&mut recorder, &x, &y, &saved)?;
                Ok((gradients, recorder))
            }
            Err(error) => {
                // Of what was refused there is nothing to submit.
                recorder.submit()?;
                Err(error)
            }
        }
    };
    let refused = || {
        let now = layer.state(&device).unwrap();
        assert!(now == before, "a refused step has moved the layer");
    };
    let (recorded, refusals) = one_more_each_time(&device, "a step out of memory", step, refused);
    assert!(refusals >= 5, "only {refusals} allocations were refused");
    drop(recorded);
    device.release_pooled_memory();
    // Parameter blocks stay, of some hundred bytes each.
    let kept = device.memory_in_use().saturating_sub(held);
    assert!(kept < 2048, "{kept} bytes stay after a step is dropped");
    RIGHT.expect_on(&device);
    drop((layer, x));
    drop(device);
    expect_on_a_new_device();
}
