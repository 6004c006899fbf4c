//! Layers whose statistics stay as they are.

use std::sync::atomic::Ordering;

use super::layer::Norm;
use super::options::Mode;
use super::spec::NormOptions;

/// What can be frozen: a norm, or a list of norms.
///
/// The [`forward_train`](Norm::forward_train) of a frozen layer normalizes by its running statistics and
/// moves nothing, as [`Mode::EVAL`] does, with a backward through these constants; gamma and beta still
/// get their gradients, and whoever trains them on goes on. A layer without running statistics has
/// nothing to freeze. All handles to a layer freeze together, and a forward with an explicit mode does
/// what that says.
///
/// ```no_run
/// use wgnorm::{BatchNorm, Freeze, InstanceNorm};
///
/// fn fine_tune(backbone: &[BatchNorm], style: &InstanceNorm) {
///     backbone.set_frozen(true);
///     let some: [&dyn Freeze; 2] = [&backbone[0], style];
///     some.set_frozen(false);
/// }
/// ```
pub trait Freeze {
    /// Freezes the statistics, or lets them move again.
    fn set_frozen(&self, frozen: bool);

    /// Whether they are frozen; of a list, whether all are.
    fn is_frozen(&self) -> bool;
}

impl<O> Freeze for Norm<O> {
    fn set_frozen(&self, frozen: bool) {
        self.frozen.store(frozen, Ordering::Relaxed);
    }

    fn is_frozen(&self) -> bool {
        self.frozen.load(Ordering::Relaxed)
    }
}

impl<T: Freeze + ?Sized> Freeze for &T {
    fn set_frozen(&self, frozen: bool) {
        (**self).set_frozen(frozen);
    }

    fn is_frozen(&self) -> bool {
        (**self).is_frozen()
    }
}

impl<T: Freeze> Freeze for [T] {
    fn set_frozen(&self, frozen: bool) {
        for one in self {
            one.set_frozen(frozen);
        }
    }

    fn is_frozen(&self) -> bool {
        self.iter().all(Freeze::is_frozen)
    }
}

impl<O: NormOptions> Norm<O> {
    /// The mode of a training forward.
    pub(super) fn train_mode(&self) -> Mode {
        match (self.running.is_some(), self.is_frozen()) {
            (false, _) => Mode::RECOMPUTE,
            (true, false) => Mode::TRAIN,
            (true, true) => Mode::EVAL,
        }
    }
}
