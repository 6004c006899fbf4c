//! The values of a layer on the host and back.

use super::ghost::GhostBatchNormOptions;
use super::layer::Norm;
use super::options::BatchNormOptions;
use super::relatives::{
    BatchRenormOptions, GroupNormOptions, InstanceNormOptions, LayerNormOptions, RmsNormOptions,
};
use super::spec::NormOptions;
use crate::gpu::{Device, Tensor};
#[cfg(feature = "safetensors")]
use crate::state::{Mismatch, Section};
use crate::state::{NormState, Part, RunningState};
use crate::{Error, Result, Shape};

/// The options of a norm that can be made of a [state](crate::state) alone: of every [`Norm`]. Sealed, as
/// [`NormOptions`] is.
pub trait Restore: NormOptions {
    /// A layer without parameters for a gamma and beta of that shape.
    #[doc(hidden)]
    fn bare(self, shape: &Shape) -> Result<Norm<Self>>
    where
        Self: Sized;

    /// Whether the norm has running statistics.
    #[doc(hidden)]
    const STATISTICS: RunningStatistics;
}

/// Whether a norm has running statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(unreachable_pub, reason = "as for `Specify`")]
pub enum RunningStatistics {
    Never,
    Perhaps,
    Always,
}

/// A norm whose parameters belong to channels.
macro_rules! of_channels {
    ($options:ty, $statistics:ident, $($axis:ident).+) => {
        impl Restore for $options {
            fn bare(self, shape: &Shape) -> Result<Norm<Self>> {
                let &[channels] = shape.dims() else {
                    return Err(Error::Shape {
                        name: "state",
                        expected: "[C], one element per channel".to_owned(),
                        got: shape.clone(),
                    });
                };
                Norm::of_channels(channels, self.$($axis).+, self)
            }

            const STATISTICS: RunningStatistics = RunningStatistics::$statistics;
        }
    };
}

/// A norm whose parameters have the normalized shape.
macro_rules! of_rows {
    ($options:ty) => {
        impl Restore for $options {
            fn bare(self, shape: &Shape) -> Result<Norm<Self>> {
                let options = Self {
                    normalized_dims: shape.rank(),
                    ..self
                };
                Norm::bare(shape.clone(), options, shape)
            }

            const STATISTICS: RunningStatistics = RunningStatistics::Never;
        }
    };
}

of_channels!(BatchNormOptions, Perhaps, channel_axis);
of_channels!(InstanceNormOptions, Perhaps, channel_axis);
of_channels!(GhostBatchNormOptions, Perhaps, batch.channel_axis);
of_channels!(BatchRenormOptions, Always, channel_axis);
of_channels!(GroupNormOptions, Never, channel_axis);
of_rows!(LayerNormOptions);
of_rows!(RmsNormOptions);

impl<O: Restore> Norm<O> {
    /// A layer that has the tensors which the state has, with their values. Layer and RMS norm set their
    /// `normalized_dims` to the rank of its shape.
    ///
    /// Fails with [`Error::StateNames`] for running statistics in a norm that has none, or none in a
    /// batch renorm, which cannot be without.
    pub fn from_state(device: &Device, state: &NormState, options: O) -> Result<Self> {
        state.check()?;
        let statistics = || vec![Part::Mean.name().to_owned(), Part::Var.name().to_owned()];
        match (O::STATISTICS, &state.running) {
            (RunningStatistics::Never, Some(_)) => return Err(names(Vec::new(), statistics())),
            (RunningStatistics::Always, None) => return Err(names(statistics(), Vec::new())),
            _ => {}
        }
        let mut layer = options.bare(&state.shape)?;
        if state.gamma.is_some() {
            layer = layer.with_gamma(device)?;
        }
        if state.beta.is_some() {
            layer = layer.with_beta(device)?;
        }
        if state.running.is_some() {
            layer = layer.with_running(device)?;
        }
        layer.write_state(device, state)?;
        Ok(layer)
    }
}

impl<O: NormOptions> Norm<O> {
    /// The values of all tensors of the layer; waits for everything submitted so far.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn state(&self, device: &Device) -> Result<NormState> {
        let mut values = [const { None }; 4];
        for (value, tensor) in values.iter_mut().zip(self.floats()) {
            *value = tensor.map(|tensor| device.download(tensor)).transpose()?;
        }
        let tracked = self.num_batches_tracked();
        let tracked = tracked.map(|tensor| device.download(tensor)).transpose()?;
        Ok(self.assemble(values, tracked))
    }

    /// [`state`](Self::state) for where nobody may block.
    pub async fn state_async(&self, device: &Device) -> Result<NormState> {
        let mut values = [const { None }; 4];
        for (value, tensor) in values.iter_mut().zip(self.floats()) {
            if let Some(tensor) = tensor {
                *value = Some(device.download_async(tensor).await?);
            }
        }
        let tracked = match self.num_batches_tracked() {
            Some(tensor) => Some(device.download_async(tensor).await?),
            None => None,
        };
        Ok(self.assemble(values, tracked))
    }

    /// Overwrites the values of all tensors of the layer. The state has exactly the tensors that the
    /// layer has, but for `num_batches_tracked`, which the layer keeps where the state has none.
    ///
    /// Like [`Device::write`] it happens before the next submission. Nothing is written where it fails:
    /// with [`Error::StateNames`] for other tensors, with [`Error::StateShape`] or [`Error::Length`] for
    /// values of another number.
    pub fn set_state(&self, device: &Device, state: &NormState) -> Result<()> {
        let in_state: Vec<Part> = state.tensors().map(|(part, _)| part).collect();
        let in_layer: Vec<Part> = self.parts();
        let without = |all: &[Part], others: &[Part]| -> Vec<String> {
            let rest = all.iter().filter(|part| !others.contains(part));
            rest.map(|part| part.name().to_owned()).collect()
        };
        let missing = without(&in_layer, &in_state);
        let unexpected = without(&in_state, &in_layer);
        if !(missing.is_empty() && unexpected.is_empty()) {
            return Err(names(missing, unexpected));
        }
        self.write_state(device, state)
    }

    /// Overwrites the layer's values by those of a state file, and says what did not match where the
    /// section is lenient; a strict one then fails with [`Error::StateNames`] instead.
    ///
    /// Strict means that the file has every tensor of the layer, and under the prefix no other. A count of
    /// batches is only asked of conventions that have one; the layer keeps its own where the file has
    /// none. Nothing is written where it fails.
    ///
    /// ```no_run
    /// # use wgnorm::state::{Convention, StateFile};
    /// # fn main() -> wgnorm::Result<()> {
    /// # let (device, bytes) = (wgnorm::Device::new()?, Vec::new());
    /// # let norm = wgnorm::LayerNorm::new(&device, [512], Default::default())?;
    /// let file = StateFile::parse(&bytes)?;
    /// let mismatch = norm.load(&device, &file.at("encoder.ln.", Convention::Flax))?;
    /// assert!(mismatch.missing.is_empty() && mismatch.unexpected.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "safetensors")]
    pub fn load(&self, device: &Device, section: &Section<'_>) -> Result<Mismatch> {
        let mut wanted = self.parts();
        if self.num_batches_tracked().is_some() {
            wanted.push(Part::Tracked);
        }
        let (state, mismatch) = section.read_parts(&wanted, &self.parameters)?;
        self.write_state(device, &state)?;
        Ok(mismatch)
    }

    /// The tensors of floats that a layer may have, in the order of [`Part::ALL`].
    fn floats(&self) -> [Option<&Tensor>; 4] {
        [
            self.gamma(),
            self.beta(),
            self.running_mean(),
            self.running_var(),
        ]
    }

    /// Those that it has.
    fn parts(&self) -> Vec<Part> {
        let floats = Part::ALL.into_iter().zip(self.floats());
        floats.filter_map(|(part, t)| t.map(|_| part)).collect()
    }

    fn assemble(&self, values: [Option<Vec<f32>>; 4], tracked: Option<Vec<u32>>) -> NormState {
        let [gamma, beta, mean, var] = values;
        NormState {
            shape: self.parameters.clone(),
            gamma,
            beta,
            running: mean.zip(var).map(|(mean, var)| RunningState {
                mean,
                var,
                num_batches_tracked: tracked.and_then(|counts| counts.first().copied()),
            }),
        }
    }

    /// Writes what the state has, of tensors that the layer has.
    fn write_state(&self, device: &Device, state: &NormState) -> Result<()> {
        state.check()?;
        if state.shape != self.parameters {
            return Err(Error::StateShape {
                name: "state".to_owned(),
                expected: self.parameters.clone(),
                got: state.shape.clone(),
            });
        }
        let tensors = self.floats();
        for (part, values) in state.tensors() {
            let place = Part::ALL.iter().position(|&one| one == part);
            if let Some(tensor) = place.and_then(|place| tensors.get(place).copied().flatten()) {
                device.write(tensor, values)?;
            }
        }
        let running = state.running.as_ref();
        let tracked = running.and_then(|running| running.num_batches_tracked);
        if let (Some(tensor), Some(count)) = (self.num_batches_tracked(), tracked) {
            device.write(tensor, &[count])?;
        }
        Ok(())
    }
}

fn names(missing: Vec<String>, unexpected: Vec<String>) -> Error {
    Error::StateNames {
        missing,
        unexpected,
    }
}
