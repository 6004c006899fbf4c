//! What a norm remembers, on the host: to look at, to keep and to move between programs.
//!
//! [`Norm::state`](crate::Norm::state) downloads a [`NormState`], [`Norm::set_state`](crate::Norm::set_state)
//! writes one back and [`Norm::from_state`](crate::Norm::from_state) makes a layer of one, on any device.
//! With the feature `safetensors`, which is on by default, a [`StateFile`] holds those of a whole network:
//!
//! ```no_run
//! use wgnorm::state::{self, Convention, StateFile};
//! use wgnorm::{BatchNorm, BatchNormOptions, Device, LayerNorm, LayerNormOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let device = Device::new()?;
//! let bytes = std::fs::read("resnet18.safetensors")?;
//! let file = StateFile::parse(&bytes)?;
//!
//! // A new layer. Strict: what else lies under the prefix is an error.
//! let state = file.at("layer1.0.bn1.", Convention::PyTorch).read()?;
//! let options = BatchNormOptions::from(Convention::PyTorch);
//! let bn = BatchNorm::from_state(&device, &state, options)?;
//!
//! // A layer that is there. Strict again, or here lenient: it says what it could not match.
//! let ln = LayerNorm::new(&device, [512], LayerNormOptions::default())?;
//! let mismatch = ln.load(&device, &file.at("head.ln.", Convention::PyTorch).lenient())?;
//! println!("not in the file: {:?}", mismatch.missing);
//!
//! let states = [("layer1.0.bn1.", bn.state(&device)?), ("head.ln.", ln.state(&device)?)];
//! std::fs::write("norms.safetensors", state::write(Convention::PyTorch, states)?)?;
//! # Ok(())
//! # }
//! ```
//!
//! A [`Convention`] is more than names: [`BatchNormOptions`](crate::BatchNormOptions) come from it with the
//! momentum, the estimator of the running variance and the eps that its values were trained with.
//!
//! f16, bf16 and f64 tensors are read into f32, which all parameters and statistics are kept in. A file
//! that is cut short, damaged or made to hurt is an [`Error`], never a panic, and is not
//! believed about any size before that was compared with the bytes that there are.

mod convention;
#[cfg(feature = "safetensors")]
mod file;
#[cfg(feature = "safetensors")]
mod section;
#[cfg(feature = "safetensors")]
mod values;
#[cfg(feature = "safetensors")]
mod write;

pub use convention::Convention;
#[cfg(feature = "safetensors")]
pub use file::StateFile;
#[cfg(feature = "safetensors")]
pub use section::{Mismatch, Section};
#[cfg(feature = "safetensors")]
pub use write::write;

use crate::{Error, Result, Shape};

/// The values of a norm: those of its tensors that it has.
#[derive(Clone, Debug, PartialEq)]
pub struct NormState {
    /// The shape of each tensor: `[C]`, or the normalized shape for layer and RMS norm.
    pub shape: Shape,
    /// The scale.
    pub gamma: Option<Vec<f32>>,
    /// The shift.
    pub beta: Option<Vec<f32>>,
    /// The running statistics.
    pub running: Option<RunningState>,
}

/// The running statistics of a norm.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningState {
    /// The running mean.
    pub mean: Vec<f32>,
    /// The running variance.
    pub var: Vec<f32>,
    /// How many batches have moved them, where that is known: files of Keras, Flax, Burn and old ones of
    /// PyTorch do not say. A layer that is given a state without it keeps its own count, which is 0 where
    /// it is new.
    pub num_batches_tracked: Option<u32>,
}

/// A tensor that a state may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Gamma,
    Beta,
    Mean,
    Var,
    Tracked,
}

impl Part {
    pub(crate) const ALL: [Self; 5] = [
        Self::Gamma,
        Self::Beta,
        Self::Mean,
        Self::Var,
        Self::Tracked,
    ];

    /// What this crate calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gamma => "gamma",
            Self::Beta => "beta",
            Self::Mean => "running_mean",
            Self::Var => "running_var",
            Self::Tracked => "num_batches_tracked",
        }
    }
}

impl NormState {
    /// The tensors of floats that it has.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = (Part, &[f32])> {
        let running = self.running.as_ref();
        let tensors = [
            (Part::Gamma, self.gamma.as_ref()),
            (Part::Beta, self.beta.as_ref()),
            (Part::Mean, running.map(|running| &running.mean)),
            (Part::Var, running.map(|running| &running.var)),
        ];
        tensors
            .into_iter()
            .filter_map(|(part, values)| values.map(|values| (part, values.as_slice())))
    }

    /// Refuses a state whose tensors have not as many elements as its shape says.
    pub(crate) fn check(&self) -> Result<()> {
        let expected = self.shape.numel();
        for (part, values) in self.tensors() {
            if values.len() != expected {
                return Err(Error::Length {
                    name: part.name(),
                    shape: self.shape.clone(),
                    expected,
                    got: values.len(),
                });
            }
        }
        Ok(())
    }
}
