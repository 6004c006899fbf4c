//! What an operation tells its kernels of the options: switches and numbers.

use super::functional::{Backward, Forward};
use super::options::{Activation, Mode, Momentum, Statistics};
use super::spec::{Kind, Spec};
use crate::kernels::{Flags, Numbers};

pub(super) fn forward_numbers(
    tensors: &Forward<'_>,
    spec: &Spec,
    mode: Mode,
    gates: u32,
) -> Numbers {
    let uses_running = mode.statistics == Statistics::Running;
    let tracked = tensors.running.and_then(|r| r.num_batches_tracked);
    // A forward by running statistics that also moves them has them saved by its first dispatch.
    let saves = tensors.state.is_some() && !(uses_running && mode.update_running);
    let n = spec.n() as f64;
    let running_divisor = n - f64::from(spec.running_variance.uncounted());
    Numbers {
        flags: common_flags(spec)
            | Flags::HAS_GAMMA.when(tensors.gamma.is_some())
            | Flags::HAS_BETA.when(tensors.beta.is_some())
            | Flags::USE_RUNNING.when(uses_running)
            | Flags::UPDATE_RUNNING.when(mode.update_running)
            | Flags::CUMULATIVE.when(spec.momentum == Momentum::Cumulative)
            | Flags::HAS_TRACKED.when(mode.update_running && tracked.is_some())
            | Flags::SAVE.when(saves)
            | Flags::RELU.when(spec.activation == Activation::Relu)
            | Flags::GATED
                .when(is_gated(spec, tensors.residual.is_some()) && tensors.state.is_some()),
        gates,
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
    gates: u32,
) -> Numbers {
    Numbers {
        flags: common_flags(spec)
            | Flags::HAS_GAMMA.when(tensors.gamma.is_some())
            | Flags::USE_RUNNING.when(statistics == Statistics::Running)
            | Flags::WANT_DX.when(tensors.dx.is_some())
            | Flags::WANT_DGAMMA.when(tensors.dgamma.is_some())
            | Flags::WANT_DBETA.when(tensors.dbeta.is_some())
            | Flags::HAS_BETA.when(tensors.beta.is_some() && recomputes(spec, tensors.residual))
            | Flags::GATED.when(is_gated(spec, tensors.residual))
            | Flags::WANT_DRESIDUAL.when(tensors.dresidual.is_some()),
        gates,
        ..numbers(spec)
    }
}

/// Whether a forward keeps which elements passed the activation: with a residual x alone does not tell.
pub(super) fn is_gated(spec: &Spec, residual: bool) -> bool {
    spec.activation == Activation::Relu && residual
}

/// Whether a backward computes from x which elements passed the activation.
pub(super) fn recomputes(spec: &Spec, residual: bool) -> bool {
    spec.activation == Activation::Relu && !residual
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
        gates: 0,
        mask: 0,
    }
}
