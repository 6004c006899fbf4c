//! Cases of any kind, each drawn from a number alone.

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use wgnorm::{
    Activation, BatchNormOptions, BatchRenormOptions, DType, Device, DeviceClass, Error,
    GroupNormOptions, InstanceNormOptions, LayerNormOptions, Mode, Momentum, PlanOptions,
    RmsNormOptions, RunningVariance, Statistics, Strategy, Wanted, WeightNormOptions,
};

use crate::family_case::{Case, Norm};
use crate::spectral_case;

const MODES: [Mode; 4] = [
    Mode::TRAIN,
    Mode::EVAL,
    Mode::RECOMPUTE,
    Mode {
        statistics: Statistics::Running,
        update_running: true,
    },
];

/// A norm of a weight that iterates, or any other norm.
#[derive(Clone, Debug)]
pub(crate) enum Drawn {
    Norm(Case),
    Spectral(spectral_case::Case),
}

impl Drawn {
    /// The case of that number on a device, which has a say in which strategies apply.
    pub(crate) fn of(device: &Device, seed: u64) -> Self {
        let mut rng = Pcg64::seed_from_u64(seed);
        if rng.random_ratio(1, 25) {
            Self::Spectral(spectral(&mut rng, seed))
        } else {
            Self::Norm(norm_case(device, &mut rng, seed))
        }
    }

    /// Holds the case to its bounds, or panics; gives the larger relative L2 error of what is written
    /// by the forward and by the backward as f32.
    pub(crate) fn check(&self, device: &Device) -> f64 {
        match self {
            Self::Norm(case) => {
                let errors = case.check(device);
                errors.y.max(errors.dx)
            }
            Self::Spectral(case) => {
                let errors = case.check(device);
                errors.w.max(errors.dweight)
            }
        }
    }

    /// Every bit that comes out.
    pub(crate) fn bits(&self, device: &Device) -> Vec<u32> {
        match self {
            Self::Norm(case) => case.run(device, &case.inputs()).bits(),
            Self::Spectral(case) => case.run(device, &case.inputs()).bits(),
        }
    }
}

/// A case of any norm of activations, or of a weight's length.
pub(crate) fn norm_case(device: &Device, rng: &mut Pcg64, seed: u64) -> Case {
    let case = loop {
        let case = draw(rng, seed);
        if has_enough(&case) {
            break case;
        }
    };
    let class = [None, Some(DeviceClass::Gpu), Some(DeviceClass::Cpu)][rng.random_range(0..3)];
    let strategy = match rng.random_range(0..6) {
        0 => Some(Strategy::SplitRows),
        1 | 2 => Some(Strategy::SplitColumns),
        3 => Some(Strategy::Resident),
        _ => None,
    };
    let forced = case.clone().planned(PlanOptions { strategy, class });
    match forced.try_plan(device) {
        Ok(()) => forced,
        Err(Error::Strategy { .. }) => case.planned(PlanOptions {
            strategy: None,
            class,
        }),
        Err(error) => panic!("{forced:?}: {error}"),
    }
}

/// Whether every statistic has a variance, and every gradient behind a gate the terms that its bound is
/// for: one of fewer is held by its own rounding.
fn has_enough(case: &Case) -> bool {
    let values = match case.mask {
        Some(_) => case
            .inputs()
            .mask
            .iter()
            .filter(|&&valid| valid != 0)
            .count(),
        None => case.values(),
    };
    let is_gated = case.has_relu() || case.mask.is_some();
    values >= if is_gated { 16 } else { 2 }
}

fn draw(rng: &mut Pcg64, seed: u64) -> Case {
    let rank = rng.random_range(2..=5);
    let dims = dimensions(rng, rank);
    let norm = draw_norm(rng, &dims);
    let mut case = Case {
        seed,
        gamma: rng.random_ratio(3, 4),
        dtype: [DType::F32, DType::F32, DType::F16, DType::Bf16][rng.random_range(0..4)],
        ..Case::new(norm, dims)
    };
    if matches!(case.norm, Norm::Weight(_)) {
        case.dtype = DType::F32;
        case.wanted.dgamma = rng.random_ratio(3, 4);
        case.offset = draw_offset(rng, case.dtype);
        return case;
    }
    case.offset = draw_offset(rng, case.dtype);
    case.beta = rng.random_ratio(3, 4);
    case.mode = match case.norm {
        Norm::Batch(_) => MODES[rng.random_range(0..4)],
        Norm::Instance(_) => MODES[rng.random_range(0..3)],
        Norm::Renorm(_) => [Mode::TRAIN, Mode::RECOMPUTE][rng.random_range(0..2)],
        _ => Mode::RECOMPUTE,
    };
    if matches!(case.norm, Norm::Batch(_)) && rng.random_ratio(1, 4) {
        case.mask = Some(rng.random_range(0.1..1.0));
    }
    let activation = [Activation::None, Activation::Relu][rng.random_range(0..2)];
    let mut case = case.tailed(activation, rng.random_ratio(1, 3));
    case.wanted = draw_wanted(rng, &case);
    case
}

/// Mostly all gradients, else any of them.
fn draw_wanted(rng: &mut Pcg64, case: &Case) -> Wanted {
    if rng.random_ratio(2, 3) {
        return case.wanted;
    }
    let mut wanted = || rng.random_ratio(1, 2);
    let gates_elements =
        matches!(case.norm, Norm::Layer(_) | Norm::Rms(_)) && case.residual && case.has_relu();
    Wanted {
        dx: true,
        dgamma: wanted(),
        dbeta: wanted(),
        // These sum the gradients of their gains from it.
        dresidual: wanted() || gates_elements,
    }
}

/// |mean| / std, so that what a type can hold still differs from element to element.
fn draw_offset(rng: &mut Pcg64, dtype: DType) -> f64 {
    let decades = match dtype {
        DType::F32 => 7.0,
        DType::F16 => 3.0,
        _ => 2.0,
    };
    match rng.random_range(0..4) {
        0 => 10_f64.powf(rng.random_range(0.0..=decades)),
        1 => 0.0,
        _ => 0.3,
    }
}

/// So many dimensions in any order, mostly of less than 20,000 elements, rarely of a million.
fn dimensions(rng: &mut Pcg64, rank: usize) -> Vec<usize> {
    let most = match rng.random_range(0..200) {
        0 => 20,
        1..=8 => 17,
        _ => 14,
    };
    let mut room = 1_usize << rng.random_range(3..=most);
    let is_even = rng.random_ratio(1, 2);
    let mut dims = Vec::with_capacity(rank);
    for left in (1..=rank).rev() {
        let share = (room as f64).powf(1.0 / left as f64) * 2.0;
        let size = dimension(
            rng,
            if is_even {
                room.min(share as usize)
            } else {
                room
            },
        );
        room = (room / size).max(1);
        dims.push(size);
    }
    dims.shuffle(rng);
    dims
}

/// A dimension of at most `max`: of any size, but often one, odd or whole vec4s.
pub(crate) fn dimension(rng: &mut Pcg64, max: usize) -> usize {
    let bits = rng.random_range(0..=max.ilog2());
    let size = rng.random_range(1_usize << bits..2 << bits).min(max);
    match rng.random_range(0..6) {
        0 => 1,
        1 => (size | 1).min(max),
        2 => (size & !3).max(1),
        3 => 1 << bits,
        _ => size,
    }
}

fn draw_norm(rng: &mut Pcg64, dims: &[usize]) -> Norm {
    let rank = dims.len();
    let eps = [1e-5, 1e-5, 1e-3, 1.0][rng.random_range(0..4)];
    let normalized_dims = rng.random_range(1..=rank);
    let channel_axis = rng.random_range(0..rank);
    // Dimension 0 counts the samples.
    let within_sample = rng.random_range(1..rank);
    match rng.random_range(0..12) {
        0..=4 => Norm::Batch(BatchNormOptions {
            channel_axis,
            eps,
            momentum: draw_momentum(rng),
            running_variance: draw_variance(rng),
            ..BatchNormOptions::default()
        }),
        5 | 6 => Norm::Layer(LayerNormOptions {
            normalized_dims,
            eps,
            ..LayerNormOptions::default()
        }),
        7 => Norm::Rms(RmsNormOptions {
            normalized_dims,
            eps,
            ..RmsNormOptions::default()
        }),
        8 => Norm::Group(GroupNormOptions {
            groups: divisor(rng, dims[within_sample]),
            channel_axis: within_sample,
            eps,
            ..GroupNormOptions::default()
        }),
        9 => Norm::Instance(InstanceNormOptions {
            channel_axis: within_sample,
            eps,
            momentum: draw_momentum(rng),
            running_variance: draw_variance(rng),
            ..InstanceNormOptions::default()
        }),
        10 => Norm::Renorm(BatchRenormOptions {
            channel_axis,
            eps,
            r_max: rng.random_range(1.0..4.0),
            d_max: rng.random_range(0.0..6.0),
            momentum: draw_momentum(rng),
            running_variance: draw_variance(rng),
            ..BatchRenormOptions::default()
        }),
        _ => Norm::Weight(WeightNormOptions {
            dim: channel_axis,
            ..WeightNormOptions::default()
        }),
    }
}

fn divisor(rng: &mut Pcg64, count: usize) -> usize {
    let divisors: Vec<usize> = (1..=count).filter(|n| count.is_multiple_of(*n)).collect();
    divisors[rng.random_range(0..divisors.len())]
}

fn draw_momentum(rng: &mut Pcg64) -> Momentum {
    match rng.random_range(0..4) {
        0 => Momentum::NewWeight(rng.random_range(0.0..=1.0)),
        1 => Momentum::OldWeight(rng.random_range(0.0..=1.0)),
        2 => Momentum::Cumulative,
        _ => Momentum::default(),
    }
}

fn draw_variance(rng: &mut Pcg64) -> RunningVariance {
    [RunningVariance::Unbiased, RunningVariance::Biased][rng.random_range(0..2)]
}

fn spectral(rng: &mut Pcg64, seed: u64) -> spectral_case::Case {
    let rank = rng.random_range(2..=4);
    let dims = dimensions(rng, rank);
    let dim = rng.random_range(0..rank);
    let class = [DeviceClass::Gpu, DeviceClass::Cpu][rng.random_range(0..2)];
    let case = spectral_case::Case::new(dims, dim, rng.random_range(0..=3)).for_class(class);
    spectral_case::Case { seed, ..case }
}
