//! Cases of all norms, types and layouts, by number.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use wgnorm::{
    Activation, BatchNormOptions, BatchRenormOptions, DType, GroupNormOptions, InstanceNormOptions,
    LayerNormOptions, RmsNormOptions, WeightNormOptions,
};

use crate::family_case::{Case, Norm};

/// The case of that number: any norm, any type, channels first or last, with and without relu and
/// residual. Few enough values that a float64 twin is not missed: what counts here are the bits.
pub(super) fn recipe(number: u64) -> Case {
    let mut rng = Pcg64::seed_from_u64(number);
    let n = rng.random_range(2..7);
    let [height, width] = [(); 2].map(|()| rng.random_range(2..9));
    let first = vec![n, 6, height, width];
    let last = vec![n, height, width, 6];
    let channel_axis = if rng.random_range(0..2) == 0 { 1 } else { 3 };
    let shape = if channel_axis == 1 { first } else { last };
    let (norm, shape) = norm(number % 7, channel_axis, shape);
    let is_weight = matches!(norm, Norm::Weight(_));
    let dtype = match (is_weight, rng.random_range(0..3)) {
        (true, _) | (_, 0) => DType::F32,
        (_, 1) => DType::F16,
        _ => DType::Bf16,
    };
    let case = Case {
        dtype,
        seed: number,
        ..Case::new(norm, shape)
    };
    if is_weight {
        return case;
    }
    let activation = [Activation::None, Activation::Relu][rng.random_range(0..2)];
    case.tailed(activation, rng.random_range(0..2) == 0)
}

fn norm(kind: u64, channel_axis: usize, shape: Vec<usize>) -> (Norm, Vec<usize>) {
    let norm = match kind {
        0 => Norm::Batch(BatchNormOptions {
            channel_axis,
            ..BatchNormOptions::default()
        }),
        1 => Norm::Layer(LayerNormOptions {
            normalized_dims: 2,
            ..LayerNormOptions::default()
        }),
        2 => Norm::Rms(RmsNormOptions::default()),
        3 => Norm::Group(GroupNormOptions {
            groups: 3,
            channel_axis,
            ..GroupNormOptions::default()
        }),
        4 => Norm::Instance(InstanceNormOptions {
            channel_axis,
            ..InstanceNormOptions::default()
        }),
        5 => Norm::Renorm(BatchRenormOptions {
            channel_axis,
            ..BatchRenormOptions::default()
        }),
        _ => Norm::Weight(WeightNormOptions::default()),
    };
    (norm, shape)
}
