//! What decides which kernels are compiled for a case, beside its shape.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use wgnorm::{
    Activation, DType, DeviceClass, Mode, PlanOptions, RunningVariance, Statistics, Strategy,
    Wanted,
};

use crate::family_case::ALL_GRADIENTS;

/// So many cases in a row have one, since most of the time would otherwise go into compiling.
pub(crate) const CASES: u64 = 8;

pub(crate) const MODES: [Mode; 4] = [
    Mode::TRAIN,
    Mode::EVAL,
    Mode::RECOMPUTE,
    Mode {
        statistics: Statistics::Running,
        update_running: true,
    },
];

/// What a case takes as far as its norm has it.
#[derive(Clone, Debug)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "they are independent and named where they are drawn"
)]
pub(crate) struct Flavour {
    pub(crate) is_spectral: bool,
    /// Which of the other norms, of twelve shares.
    pub(crate) norm: u32,
    pub(crate) dtype: DType,
    pub(crate) mode: Mode,
    pub(crate) gamma: bool,
    pub(crate) beta: bool,
    pub(crate) masked: bool,
    pub(crate) activation: Activation,
    pub(crate) residual: bool,
    pub(crate) wanted: Wanted,
    pub(crate) cumulative: bool,
    pub(crate) variance: RunningVariance,
    pub(crate) plan: PlanOptions,
}

impl Flavour {
    /// That of the case of a number.
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = Pcg64::seed_from_u64(seed / CASES);
        let rng = &mut rng;
        Self {
            is_spectral: rng.random_ratio(1, 25),
            norm: rng.random_range(0..12),
            dtype: [DType::F32, DType::F32, DType::F16, DType::Bf16][rng.random_range(0..4)],
            mode: MODES[rng.random_range(0..4)],
            gamma: rng.random_ratio(3, 4),
            beta: rng.random_ratio(3, 4),
            masked: rng.random_ratio(1, 4),
            activation: [Activation::None, Activation::Relu][rng.random_range(0..2)],
            residual: rng.random_ratio(1, 3),
            wanted: draw_wanted(rng),
            cumulative: rng.random_ratio(1, 4),
            variance: [RunningVariance::Unbiased, RunningVariance::Biased][rng.random_range(0..2)],
            plan: draw_plan(rng),
        }
    }
}

/// Mostly all gradients, else any of them.
fn draw_wanted(rng: &mut Pcg64) -> Wanted {
    if rng.random_ratio(2, 3) {
        return ALL_GRADIENTS;
    }
    let mut wanted = || rng.random_ratio(1, 2);
    Wanted {
        dx: wanted(),
        dgamma: wanted(),
        dbeta: wanted(),
        dresidual: wanted(),
    }
}

fn draw_plan(rng: &mut Pcg64) -> PlanOptions {
    let strategy = match rng.random_range(0..6) {
        0 => Some(Strategy::SplitRows),
        1 | 2 => Some(Strategy::SplitColumns),
        3 => Some(Strategy::Resident),
        _ => None,
    };
    let class = [None, Some(DeviceClass::Gpu), Some(DeviceClass::Cpu)][rng.random_range(0..3)];
    PlanOptions { strategy, class }
}
