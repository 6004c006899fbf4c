//! Batch norm folded into the layer before it, on the host and in float64.
//!
//! In inference a batch norm is one multiplication and one addition per channel, which the weight and
//! the bias of a linear layer or convolution can take over, so that the norm costs nothing any more:
//!
//! ```text
//! scale   = gamma / sqrt(var + eps)
//! weight' = weight * scale            of its output channel
//! bias'   = (bias - mean) * scale + beta
//! ```
//!
//! ```
//! use wgnorm::folding::{Folded, Frozen, Layer};
//!
//! # fn main() -> wgnorm::Result<()> {
//! let norm = Frozen {
//!     gamma: Some(vec![2.0, 1.0]),
//!     beta: None,
//!     mean: vec![1.0, -1.0],
//!     var: vec![3.0, 0.0],
//!     eps: 1.0,
//! };
//! let weight = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]; // 3 inputs, 2 outputs, no bias
//! let Folded { weight, bias } = norm.fold(Layer::Linear, [2, 3], &weight, None)?;
//! assert_eq!(weight, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
//! assert_eq!(bias, [-1.0, 1.0]);
//! # Ok(())
//! # }
//! ```
//!
//! # What it costs
//!
//! Everything is computed in float64 and rounded once, so that weight and bias are right to half a
//! unit in the last place. The layer then makes sums of the size of |mean| / std with them, rounds
//! them at that size, and bias' takes most of them away again: the error of y is about
//! `1e-7 * |mean| / std`. [`BatchNorm`] takes the mean from x before it multiplies, and its error
//! stays at 1e-7. Where a channel's |mean| / std is below 10 folding is harmless; where it is in the
//! thousands it is not.

use crate::{BatchNorm, Device, Error, Result, Shape, Tensor};

/// A batch norm in its inference form: constants for each of C channels.
#[derive(Clone, Debug, PartialEq)]
pub struct Frozen {
    /// The scales, C of them; 1 where there are none.
    pub gamma: Option<Vec<f32>>,
    /// The shifts, C of them; 0 where there are none.
    pub beta: Option<Vec<f32>>,
    /// The running means, whose number is C.
    pub mean: Vec<f32>,
    /// The running variances, C of them. One below `-eps`, or NaN, makes NaN of its channel alone.
    pub var: Vec<f32>,
    /// What is added to the variance before its root, above 0; PyTorch's default is 1e-5.
    pub eps: f64,
}

/// What lies before the norm, which decides where the output channels are in its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// A linear layer, `[out, in]`.
    Linear,
    /// A convolution with any number of groups, `[out, in / groups, k...]`: the weights of an output
    /// channel lie together, so that groups make no difference.
    Convolution,
    /// A transposed convolution, `[in, out / groups, k...]`: which output channel a weight belongs to
    /// depends on the group that its input channel is in.
    Transposed {
        /// How many groups there are; 1 where nobody has said otherwise.
        groups: usize,
    },
}

/// A layer that its batch norm was folded into.
#[derive(Clone, Debug, PartialEq)]
pub struct Folded {
    /// The weight, shaped as before.
    pub weight: Vec<f32>,
    /// The bias, C elements, also where there was none before.
    pub bias: Vec<f32>,
}

/// A batch norm as one multiplication and one addition: `y = x * scale + shift`.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleShift {
    /// `gamma / sqrt(var + eps)` of each channel.
    pub scale: Vec<f32>,
    /// `beta - mean * scale` of each channel.
    pub shift: Vec<f32>,
}

impl Frozen {
    /// What a layer normalizes by in inference; waits for the GPU. What was recorded and not yet
    /// submitted has not happened.
    ///
    /// Fails with [`Error::Missing`] for a layer without running statistics, whose inference goes by
    /// each batch, so that there is nothing to fold.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn of(device: &Device, layer: &BatchNorm) -> Result<Self> {
        pollster::block_on(Self::of_async(device, layer))
    }

    /// [`of`](Self::of) for where nobody may block.
    pub async fn of_async(device: &Device, layer: &BatchNorm) -> Result<Self> {
        let (mean, var) = (
            running("running_mean", layer.running_mean())?,
            running("running_var", layer.running_var())?,
        );
        Ok(Self {
            gamma: download(device, layer.gamma()).await?,
            beta: download(device, layer.beta()).await?,
            mean: device.download_async(mean).await?,
            var: device.download_async(var).await?,
            eps: layer.options().eps,
        })
    }

    /// How many channels there are.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.mean.len()
    }

    /// The norm for an app's own shader, as `y = x * scale + shift` of each channel.
    ///
    /// It is computed in float64, and the shift is that of the rounded scale. Still `x * scale` and
    /// `shift` are both about |mean| / std in size and are rounded at that size before they cancel: y is
    /// off by up to `1.2e-7 * |mean| / std * |gamma|`, which is nothing at a ratio of 10 and makes y
    /// useless at 1e6. [`BatchNorm::infer`] computes `(x - mean) * rstd * gamma + beta` instead, whose
    /// difference is exact where x is near the mean, in the same one pass over memory. A shader that
    /// has to do with large ratios does well to do the same.
    ///
    /// Fails with [`Error::Length`] or [`Error::Option`] where the constants do not fit each other.
    pub fn scale_shift(&self) -> Result<ScaleShift> {
        self.check()?;
        let scale: Vec<f32> = self.scales().map(|scale| scale as f32).collect();
        let shifts = scale.iter().enumerate().map(|(c, &scale)| {
            let shift = self.beta(c) - f64::from(self.mean[c]) * f64::from(scale);
            shift as f32
        });
        Ok(ScaleShift {
            shift: shifts.collect(),
            scale,
        })
    }

    /// The weight and the bias of a layer that does what `layer` and then this norm do. The weight has
    /// that shape and lies in memory order; the bias has an element for each of the C output channels.
    ///
    /// Stride, padding and dilation of a convolution make no difference.
    ///
    /// Fails with [`Error::Shape`] where the layer has not C output channels, with [`Error::Length`]
    /// where data and shape do not fit each other, and with [`Error::Option`] for an eps that is not
    /// above 0 or for no groups.
    pub fn fold(
        &self,
        layer: Layer,
        shape: impl Into<Shape>,
        weight: &[f32],
        bias: Option<&[f32]>,
    ) -> Result<Folded> {
        let mut folded = Folded {
            weight: weight.to_vec(),
            bias: bias.map_or_else(|| vec![0.0; self.channels()], <[f32]>::to_vec),
        };
        self.fold_in_place(layer, shape, &mut folded.weight, &mut folded.bias)?;
        Ok(folded)
    }

    /// [`fold`](Self::fold) that overwrites weight and bias; the bias of a layer without one is given
    /// as zeros. What is refused has not been touched.
    pub fn fold_in_place(
        &self,
        layer: Layer,
        shape: impl Into<Shape>,
        weight: &mut [f32],
        bias: &mut [f32],
    ) -> Result<()> {
        let shape = shape.into();
        self.check()?;
        let blocks = Blocks::new(layer, &shape, self.channels())?;
        expect_len("weight", &shape, weight.len())?;
        expect_len("bias", &Shape::from([self.channels()]), bias.len())?;
        let scales: Vec<f64> = self.scales().collect();
        // A weight with a dimension of 0 has no blocks; chunks have to have a length.
        for (block, weights) in weight.chunks_exact_mut(blocks.len.max(1)).enumerate() {
            let scale = scales[blocks.channel(block)];
            for weight in weights {
                *weight = (f64::from(*weight) * scale) as f32;
            }
        }
        for (c, bias) in bias.iter_mut().enumerate() {
            let centred = f64::from(*bias) - f64::from(self.mean[c]);
            *bias = (centred * scales[c] + self.beta(c)) as f32;
        }
        Ok(())
    }

    fn scales(&self) -> impl Iterator<Item = f64> {
        self.var.iter().enumerate().map(|(c, &var)| {
            let gamma = self.gamma.as_ref().map_or(1.0, |gamma| f64::from(gamma[c]));
            gamma / (f64::from(var) + self.eps).sqrt()
        })
    }

    fn beta(&self, c: usize) -> f64 {
        self.beta.as_ref().map_or(0.0, |beta| f64::from(beta[c]))
    }

    fn check(&self) -> Result<()> {
        let channels = Shape::from([self.channels()]);
        let optional = [("gamma", self.gamma.as_ref()), ("beta", self.beta.as_ref())];
        for (name, values) in optional {
            values.map_or(Ok(()), |values| expect_len(name, &channels, values.len()))?;
        }
        expect_len("running_var", &channels, self.var.len())?;
        if self.eps > 0.0 && self.eps.is_finite() {
            return Ok(());
        }
        Err(Error::Option {
            name: "eps",
            expected: "a positive number",
            got: self.eps.to_string(),
        })
    }
}

/// Runs of weights of one output channel each, as they lie in memory.
struct Blocks {
    /// How many weights a run has.
    len: usize,
    /// How many output channels a group has.
    per_group: usize,
    /// How many runs the input channels of a group have in all.
    group: usize,
}

impl Blocks {
    /// Where the output channels of a layer are, which have to be as many as the norm has.
    fn new(layer: Layer, shape: &Shape, channels: usize) -> Result<Self> {
        let dims = shape.dims();
        let refused = |expected: String| Error::Shape {
            name: "weight",
            expected,
            got: shape.clone(),
        };
        let rank_fits = match layer {
            Layer::Linear => dims.len() == 2,
            _ => dims.len() > 2,
        };
        if !rank_fits {
            return Err(refused(layer.layout().to_owned()));
        }
        let Layer::Transposed { groups } = layer else {
            if dims[0] != channels {
                let expected = format!("{channels} output channels along dimension 0");
                return Err(refused(expected));
            }
            return Ok(Self {
                len: Shape::from(&dims[1..]).numel(),
                per_group: channels,
                group: channels,
            });
        };
        if groups == 0 {
            return Err(Error::Option {
                name: "groups",
                expected: "at least 1",
                got: groups.to_string(),
            });
        }
        if !dims[0].is_multiple_of(groups) {
            let expected = format!("a multiple of {groups} groups along dimension 0");
            return Err(refused(expected));
        }
        if dims[1].checked_mul(groups) != Some(channels) {
            let expected = format!("{channels} output channels in {groups} groups");
            return Err(refused(expected));
        }
        Ok(Self {
            len: Shape::from(&dims[2..]).numel(),
            per_group: dims[1],
            group: (dims[0] / groups).saturating_mul(dims[1]),
        })
    }

    /// The output channel of a run.
    fn channel(&self, block: usize) -> usize {
        block / self.group * self.per_group + block % self.per_group
    }
}

impl Layer {
    fn layout(self) -> &'static str {
        match self {
            Self::Linear => "[out, in]",
            Self::Convolution => "[out, in / groups, k...] with at least one k",
            Self::Transposed { .. } => "[in, out / groups, k...] with at least one k",
        }
    }
}

fn expect_len(name: &'static str, shape: &Shape, got: usize) -> Result<()> {
    let expected = shape.numel();
    if got == expected {
        return Ok(());
    }
    Err(Error::Length {
        name,
        shape: shape.clone(),
        expected,
        got,
    })
}

fn running<'a>(name: &'static str, tensor: Option<&'a Tensor>) -> Result<&'a Tensor> {
    let reason = "a norm without running statistics cannot be folded";
    tensor.ok_or(Error::Missing { name, reason })
}

async fn download(device: &Device, tensor: Option<&Tensor>) -> Result<Option<Vec<f32>>> {
    match tensor {
        None => Ok(None),
        Some(tensor) => device.download_async(tensor).await.map(Some),
    }
}
