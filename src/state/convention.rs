//! What the frameworks call the tensors of a norm.

/// Whose names a state file has, and so by whose rules its values came about.
///
/// | | gamma | beta | running mean | running variance | batches |
/// |---|---|---|---|---|---|
/// | PyTorch | `weight` | `bias` | `running_mean` | `running_var` | `num_batches_tracked` |
/// | Keras | `gamma` | `beta` | `moving_mean` | `moving_variance` | |
/// | Flax | `scale` | `bias` | `mean` | `var` | |
/// | Burn | `gamma` | `beta` | `running_mean` | `running_var` | |
///
/// `BatchNormOptions::from(convention)` has its momentum, estimator of the running variance and eps;
/// layer and group norm take their eps in the same way. What no file says is where the channels lie: Keras
/// and Flax normalize the last dimension, so an x in their layout needs `channel_axis` set to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Convention {
    /// `PyTorch`, and Candle, which has its names.
    #[default]
    PyTorch,
    /// Keras.
    Keras,
    /// Flax. Its variables are collections: for a prefix that begins with `params`, such as
    /// `params.bn1.` or `params/bn1/`, mean and variance lie where it begins with `batch_stats`.
    Flax,
    /// Burn, as its safetensors store has them.
    Burn,
}

#[cfg(feature = "safetensors")]
mod names {
    use super::Convention;
    use crate::state::Part;

    impl Convention {
        /// What the tensor is called behind the prefix.
        fn suffix(self, part: Part) -> Option<&'static str> {
            let [gamma, beta, mean, var] = match self {
                Self::PyTorch => ["weight", "bias", "running_mean", "running_var"],
                Self::Keras => ["gamma", "beta", "moving_mean", "moving_variance"],
                Self::Flax => ["scale", "bias", "mean", "var"],
                Self::Burn => ["gamma", "beta", "running_mean", "running_var"],
            };
            match part {
                Part::Gamma => Some(gamma),
                Part::Beta => Some(beta),
                Part::Mean => Some(mean),
                Part::Var => Some(var),
                Part::Tracked => (self == Self::PyTorch).then_some("num_batches_tracked"),
            }
        }

        /// What the tensor of the layer at a prefix is called, where the convention has one.
        pub(in crate::state) fn name(self, prefix: &str, part: Part) -> Option<String> {
            let suffix = self.suffix(part)?;
            let prefix = match part {
                Part::Mean | Part::Var => self.prefix_of_statistics(prefix),
                _ => prefix.to_owned(),
            };
            Some(prefix + suffix)
        }

        pub(in crate::state) fn prefix_of_statistics(self, prefix: &str) -> String {
            match prefix.strip_prefix("params") {
                Some(rest) if self == Self::Flax && rest.starts_with(['.', '/']) => {
                    format!("batch_stats{rest}")
                }
                _ => prefix.to_owned(),
            }
        }
    }
}
