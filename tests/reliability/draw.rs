//! Cases of any kind, each drawn from a number alone.

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use wgnorm::{
    BatchNormOptions, BatchRenormOptions, DType, Device, DeviceClass, Error, GroupNormOptions,
    InstanceNormOptions, LayerNormOptions, Mode, Momentum, PlanOptions, RmsNormOptions,
    WeightNormOptions,
};

use crate::case::MODES;
use crate::family_case::{Case, Norm};
use crate::flavour::Flavour;
use crate::spectral_case;

/// A norm of a weight that iterates, or any other norm.
#[derive(Clone, Debug)]
pub(crate) enum Drawn {
    Norm(Case),
    Spectral(spectral_case::Case),
}

impl Drawn {
    /// The case of that number on a device, which has a say in which strategies apply.
    pub(crate) fn of(device: &Device, seed: u64) -> Self {
        let flavour = Flavour::of(seed);
        if flavour.is_spectral {
            Self::Spectral(spectral(&flavour, seed))
        } else {
            Self::Norm(norm_case(device, seed))
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
pub(crate) fn norm_case(device: &Device, seed: u64) -> Case {
    let mut rng = Pcg64::seed_from_u64(seed);
    let flavour = Flavour::of(seed);
    let case = loop {
        let case = draw(&mut rng, &flavour, seed);
        if has_enough(&case) {
            break case;
        }
    };
    let forced = case.clone().planned(flavour.plan);
    match forced.try_plan(device) {
        Ok(()) => forced,
        // The latter where columns would have to merge the partials of too large a group.
        Err(Error::Strategy { .. } | Error::TooLarge { .. }) => case.planned(PlanOptions {
            strategy: None,
            ..flavour.plan
        }),
        Err(error) => panic!("{forced:?}: {error}"),
    }
}

/// Whether every statistic has a variance, every gradient behind a gate the terms that its bound is for,
/// and y the elements that a residual does not cancel all at once: what has fewer is held by its own
/// rounding.
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
    let has_elements = !case.residual || case.shape.numel() >= 16;
    has_elements && values >= if is_gated { 16 } else { 2 }
}

fn draw(rng: &mut Pcg64, flavour: &Flavour, seed: u64) -> Case {
    let rank = rng.random_range(2..=5);
    let dims = dimensions(rng, rank);
    let norm = draw_norm(rng, flavour, &dims);
    let offset = draw_offset(rng, flavour.dtype);
    let case = Case {
        seed,
        offset,
        gamma: flavour.gamma,
        wanted: flavour.wanted,
        ..Case::new(norm, dims)
    };
    let mode = match case.norm {
        Norm::Weight(_) => return case,
        Norm::Instance(_) if flavour.mode == MODES[3] => Mode::TRAIN,
        Norm::Batch(_) | Norm::Instance(_) => flavour.mode,
        Norm::Renorm(_) if flavour.mode.update_running => Mode::TRAIN,
        _ => Mode::RECOMPUTE,
    };
    let share = rng.random_range(0.1..1.0);
    let is_batch = matches!(case.norm, Norm::Batch(_));
    let mut case = Case {
        mode,
        beta: flavour.beta,
        dtype: flavour.dtype,
        mask: (is_batch && flavour.masked).then_some(share),
        ..case
    }
    .tailed(flavour.activation, flavour.residual);
    case.wanted.dresidual |= case.residual && case.has_relu() && needs_passed(&case);
    case
}

/// Whether the gradients of gains are summed from what passed, which then has to be written somewhere:
/// see `functional::Backward::dresidual`.
fn needs_passed(case: &Case) -> bool {
    let axis = match &case.norm {
        Norm::Layer(_) | Norm::Rms(_) => return true,
        Norm::Batch(options) => options.channel_axis,
        Norm::Renorm(options) => options.channel_axis,
        Norm::Group(options) => options.channel_axis,
        Norm::Instance(options) => options.channel_axis,
        Norm::Weight(_) => return false,
    };
    let plane: usize = case.shape.dims()[axis + 1..].iter().product();
    !case.wanted.dx && !plane.is_multiple_of(4)
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
    for left in (1..=rank as u32).rev() {
        // Either about the same for all, or whatever is left.
        let bits = room.ilog2() / left + 1;
        let most = if is_even { room.min(1 << bits) } else { room };
        let size = dimension(rng, most);
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

fn draw_norm(rng: &mut Pcg64, flavour: &Flavour, dims: &[usize]) -> Norm {
    let rank = dims.len();
    let eps = [1e-5, 1e-5, 1e-3, 1.0][rng.random_range(0..4)];
    let momentum = draw_momentum(rng, flavour);
    let running_variance = flavour.variance;
    let normalized_dims = rng.random_range(1..=rank);
    let any_axis = rng.random_range(0..rank);
    // Dimension 0 counts the samples.
    let axis_of_sample = rng.random_range(1..rank);
    match flavour.norm {
        0..=4 => Norm::Batch(BatchNormOptions {
            channel_axis: any_axis,
            eps,
            momentum,
            running_variance,
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
            groups: divisor(rng, dims[axis_of_sample]),
            channel_axis: axis_of_sample,
            eps,
            ..GroupNormOptions::default()
        }),
        9 => Norm::Instance(InstanceNormOptions {
            channel_axis: axis_of_sample,
            eps,
            momentum,
            running_variance,
            ..InstanceNormOptions::default()
        }),
        10 => Norm::Renorm(BatchRenormOptions {
            channel_axis: any_axis,
            eps,
            r_max: rng.random_range(1.0..4.0),
            d_max: rng.random_range(0.0..6.0),
            momentum,
            running_variance,
            ..BatchRenormOptions::default()
        }),
        _ => Norm::Weight(WeightNormOptions {
            dim: any_axis,
            ..WeightNormOptions::default()
        }),
    }
}

fn divisor(rng: &mut Pcg64, count: usize) -> usize {
    let divisors: Vec<usize> = (1..=count).filter(|n| count.is_multiple_of(*n)).collect();
    divisors[rng.random_range(0..divisors.len())]
}

fn draw_momentum(rng: &mut Pcg64, flavour: &Flavour) -> Momentum {
    match rng.random_range(0..3) {
        _ if flavour.cumulative => Momentum::Cumulative,
        0 => Momentum::NewWeight(rng.random_range(0.0..=1.0)),
        1 => Momentum::OldWeight(rng.random_range(0.0..=1.0)),
        _ => Momentum::default(),
    }
}

fn spectral(flavour: &Flavour, seed: u64) -> spectral_case::Case {
    let rng = &mut Pcg64::seed_from_u64(seed);
    let rank = rng.random_range(2..=4);
    // What a small weight's sigma is rounded to is seen in all of its elements.
    let dims = loop {
        let dims = dimensions(rng, rank);
        if dims.iter().product::<usize>() >= 256 {
            break dims;
        }
    };
    let dim = rng.random_range(0..rank);
    let class = flavour.plan.class.unwrap_or(DeviceClass::Gpu);
    let case = spectral_case::Case::new(dims, dim, rng.random_range(0..=3)).for_class(class);
    spectral_case::Case { seed, ..case }
}
