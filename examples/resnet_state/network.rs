//! The batch norms of a ResNet-18: what a checkpoint calls them, what they see, and how to make them.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use wgnorm::state::{self, Convention, NormState, RunningState, StateFile};
use wgnorm::{BatchNorm, Device};

/// Two images of 64 x 64 pixels.
const BATCH: usize = 2;
const IMAGE: usize = 64;

/// The prefix of each batch norm in a checkpoint, and the shape of its input.
fn norms() -> Vec<(String, [usize; 4])> {
    let shape = |channels, side| [BATCH, channels, side, side];
    let mut norms = vec![("bn1.".to_owned(), shape(64, IMAGE / 2))];
    for stage in 1..=4 {
        let shape = shape(32 << stage, (IMAGE / 2) >> stage);
        for block in 0..2 {
            norms.extend((1..=2).map(|n| (format!("layer{stage}.{block}.bn{n}."), shape)));
            if stage > 1 && block == 0 {
                norms.push((format!("layer{stage}.0.downsample.1."), shape));
            }
        }
    }
    norms
}

/// A checkpoint as PyTorch would have left it after 1,000 steps.
pub(crate) fn checkpoint() -> wgnorm::Result<Vec<u8>> {
    let mut random = Pcg64::seed_from_u64(18);
    let states = norms().into_iter().map(|(prefix, [_, channels, ..])| {
        let mut draw = |from: f32, to: f32| -> Vec<f32> {
            (0..channels)
                .map(|_| random.random_range(from..to))
                .collect()
        };
        let state = NormState {
            shape: [channels].into(),
            gamma: Some(draw(0.5, 1.5)),
            beta: Some(draw(-0.5, 0.5)),
            running: Some(RunningState {
                mean: draw(-1.0, 1.0),
                var: draw(0.5, 2.0),
                num_batches_tracked: Some(1_000),
            }),
        };
        (prefix, state)
    });
    state::write(Convention::PyTorch, states)
}

/// A batch norm, its state before the step, and its input and the gradient of its output.
pub(crate) struct Layer {
    pub(crate) prefix: String,
    pub(crate) shape: [usize; 4],
    pub(crate) norm: BatchNorm,
    pub(crate) before: NormState,
    pub(crate) x: Vec<f32>,
    pub(crate) dy: Vec<f32>,
}

/// All of them, from one file, each with random inputs.
pub(crate) fn layers(device: &Device, file: &StateFile<'_>) -> wgnorm::Result<Vec<Layer>> {
    let mut random = Pcg64::seed_from_u64(1);
    let layer = |(prefix, shape): (String, [usize; 4])| {
        let before = file.at(&prefix, Convention::PyTorch).read()?;
        let norm = BatchNorm::from_state(device, &before, Convention::PyTorch.into())?;
        let mut draw = |from: f32, to: f32| -> Vec<f32> {
            let len = shape.iter().product();
            (0..len).map(|_| random.random_range(from..to)).collect()
        };
        let (x, dy) = (draw(-1.0, 3.0), draw(-1.0, 1.0));
        Ok(Layer {
            prefix,
            shape,
            norm,
            before,
            x,
            dy,
        })
    };
    norms().into_iter().map(layer).collect()
}
