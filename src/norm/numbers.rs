//! What an operation tells its kernels of the options: switches and numbers.

use super::functional::{Backward, Forward};
use super::options::{Mode, Momentum, RunningVariance, Statistics};
use super::spec::{Kind, Spec};
use crate::kernels::{Flags, Numbers};

pub(super) fn forward_numbers(tensors: &Forward<'_>, spec: &Spec, mode: Mode) -> Numbers {
    let uses_running = mode.statistics == Statistics::Running;
    let tracked = tensors.running.and_then(|r| r.num_batches_tracked);
    // A forward by running statistics that also moves them has them saved by its first dispatch.
    let saves = tensors.state.is_some() && !(uses_running && mode.update_running);
    let n = spec.n() as f64;
    let running_divisor = match spec.running_variance {
        RunningVariance::Unbiased => n - 1.0,
        RunningVariance::Biased => n,
    };
    Numbers {
        flags: common_flags(spec)
            | Flags::HAS_GAMMA.when(tensors.gamma.is_some())
            | Flags::HAS_BETA.when(tensors.beta.is_some())
            | Flags::USE_RUNNING.when(uses_running)
            | Flags::UPDATE_RUNNING.when(mode.update_running)
            | Flags::CUMULATIVE.when(spec.momentum == Momentum::Cumulative)
            | Flags::HAS_TRACKED.when(mode.update_running && tracked.is_some())
            | Flags::SAVE.when(saves),
        old_weight: spec.weights.0,
        new_weight: spec.weights.1,
        running_divisor: running_divisor as f32,
        ..numbers(spec)
    }
}

pub(super) fn backward_numbers(
    tensors: &Backward<'_>,
    spec: &Spec,
    statistics: Statistics,
) -> Numbers {
    Numbers {
        flags: common_flags(spec)
            | Flags::HAS_GAMMA.when(tensors.gamma.is_some())
            | Flags::USE_RUNNING.when(statistics == Statistics::Running)
            | Flags::WANT_DX.when(tensors.dx.is_some())
            | Flags::WANT_DGAMMA.when(tensors.dgamma.is_some())
            | Flags::WANT_DBETA.when(tensors.dbeta.is_some()),
        ..numbers(spec)
    }
}

fn common_flags(spec: &Spec) -> Flags {
    Flags::NO_MEAN.when(spec.has_no_mean()) | Flags::CORRECTED.when(spec.is_renorm())
}

/// The numbers of any operation; only a forward moves running statistics.
pub(super) fn numbers(spec: &Spec) -> Numbers {
    let (r_max, d_max) = match spec.kind {
        Kind::Renorm { r_max, d_max } => (r_max, d_max),
        _ => (1.0, 0.0),
    };
    Numbers {
        flags: Flags::default(),
        saved: spec.saved() as u32,
        n: spec.divisor(),
        eps: spec.eps,
        old_weight: 0.0,
        new_weight: 0.0,
        running_divisor: 0.0,
        r_max,
        d_max,
    }
}
