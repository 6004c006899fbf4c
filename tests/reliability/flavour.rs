//! What decides which kernels are compiled for a case, beside its shape.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use wgnorm::{
    Activation, DType, Device, DeviceClass, Mode, PlanOptions, RunningVariance, Strategy, Wanted,
};

use crate::case::MODES;
use crate::family_case::ALL_GRADIENTS;

/// The low bits of a case's number, which tell cases of one flavour apart.
const INDEX_BITS: u32 = 16;

/// The numbers of so many cases, those of one flavour after each other: most of the time goes into compiling,
/// which they do once together.
pub(crate) fn numbers(cases: u64, flavours: u64) -> impl Iterator<Item = u64> {
    let each = cases.div_ceil(flavours);
    (0..cases).map(move |case| ((case / each) << INDEX_BITS) | (case % each))
}

pub(crate) fn same_flavour(a: u64, b: u64) -> bool {
    a >> INDEX_BITS == b >> INDEX_BITS
}

/// Devices that are made anew for every so many flavours, since a device keeps what it has compiled.
pub(crate) struct Devices {
    flavours: u64,
    fresh: Option<(u64, Device)>,
}

impl Devices {
    pub(crate) const fn new() -> Self {
        Self {
            flavours: 25,
            fresh: None,
        }
    }

    /// The device for the case of a number.
    pub(crate) fn get(&mut self, number: u64) -> &Device {
        let which = (number >> INDEX_BITS) / self.flavours;
        if self.fresh.as_ref().is_none_or(|(have, _)| *have != which) {
            // The one before goes first.
            self.fresh = None;
        }
        let (_, device) = self
            .fresh
            .get_or_insert_with(|| (which, Device::new().unwrap()));
        device
    }
}

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
    pub(crate) fn of(number: u64) -> Self {
        let mut rng = Pcg64::seed_from_u64(number >> INDEX_BITS);
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
