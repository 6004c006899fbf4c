//! Spectral norm as a layer that owns its singular vectors and allocates its outputs from the pool.

mod checks;
pub mod functional;
mod options;
mod start;

pub use options::SpectralNormOptions;

use crate::gpu::{DType, Device, Recorder, Tensor};
use crate::kernels::matrix::MatrixState;
use crate::plan::matrix::Side;
use crate::{Error, Result, Shape, View};
use functional::{Backward, Forward};

/// Divides a weight by its largest singular value sigma, estimated by power iteration (Miyato et al.
/// 2018), as `torch.nn.utils.parametrizations.spectral_norm` does.
///
/// W is the weight with dimension `dim` first and the others flattened, \[H, K\]. The layer holds the
/// estimates u (H elements) and v (K elements) of the singular vectors. A training step moves them by
/// `power_iterations` iterations, `v = normalize(Wᵀu)` before `u = normalize(Wv)`, and then returns
/// `w = W / sigma` with `sigma = uᵀWv`; evaluation uses them as they are. The formulas stand in
/// [`functional`].
///
/// ```no_run
/// use wgnorm::{Device, SpectralNorm, SpectralNormOptions};
///
/// # fn main() -> wgnorm::Result<()> {
/// let device = Device::new()?;
/// let weight = device.upload(&vec![0.1f32; 64 * 32 * 9], [64, 32, 3, 3])?;
/// let dw = device.upload(&vec![0.1f32; 64 * 32 * 9], [64, 32, 3, 3])?;
///
/// let mut step = device.recorder();
/// let norm = SpectralNorm::new(&mut step, &weight, SpectralNormOptions::default())?;
/// let (w, saved) = norm.forward_train(&mut step, &weight)?; // moves u and v
/// let dweight = norm.backward(&mut step, &weight, &dw, &saved)?;
/// let w_in_evaluation = norm.infer(&mut step, &weight)?;
/// step.submit()?;
/// println!("sigma {:?}", device.download::<f32>(&saved.sigma())?);
/// # Ok(())
/// # }
/// ```
///
/// u and v live on the device and change when recorded commands run: a step that was recorded and never
/// submitted counts for nothing. A clone is another handle to the same layer, not a copy of its values.
#[derive(Clone, Debug)]
pub struct SpectralNorm {
    options: SpectralNormOptions,
    shape: Shape,
    u: Tensor,
    v: Tensor,
}

/// What a forward leaves for its backward: sigma and a copy of the u and v that it used, which may move
/// in between.
#[derive(Clone, Debug)]
pub struct SpectralSaved {
    saved: Tensor,
    state: MatrixState,
    slots: Side,
    shape: Shape,
    view: View,
}

/// Power iterations when a layer is made, as in PyTorch.
const FIRST_ITERATIONS: u32 = 15;

impl SpectralNorm {
    /// A layer for that weight, whose u and v come from 15 power iterations on it, recorded here, that
    /// begin with a random u: the same for each number of rows.
    pub fn new(
        recorder: &mut Recorder<'_>,
        weight: &Tensor,
        options: SpectralNormOptions,
    ) -> Result<Self> {
        let view = checks::view(weight.shape(), &options)?;
        Self::with_u(recorder, weight, &start::random_unit(view.count), options)
    }

    /// The same from a u of the caller's, H elements, of any norm but 0.
    pub fn with_u(
        recorder: &mut Recorder<'_>,
        weight: &Tensor,
        u: &[f32],
        options: SpectralNormOptions,
    ) -> Result<Self> {
        let device = recorder.device().clone();
        let view = checks::view(weight.shape(), &options)?;
        let layer = Self {
            options,
            shape: weight.shape().clone(),
            u: device.upload(u, [u.len()])?,
            // A start as good as any other, where the recorder is never submitted.
            v: device.upload(&start::random_unit(view.slot_len()), [view.slot_len()])?,
        };
        layer.record(recorder, weight, FIRST_ITERATIONS)?;
        Ok(layer)
    }

    /// A layer for weights of that shape with given u (H elements) and v (K elements) of norm 1, such as
    /// those of a checkpoint; iterates nothing.
    ///
    /// K is counted along the weight's other dimensions in their order.
    pub fn from_vectors(
        device: &Device,
        shape: impl Into<Shape>,
        u: &[f32],
        v: &[f32],
        options: SpectralNormOptions,
    ) -> Result<Self> {
        let shape = shape.into();
        let view = checks::view(&shape, &options)?;
        options.checked_eps()?;
        let layer = Self {
            options,
            shape,
            u: device.upload(u, [u.len()])?,
            v: device.upload(v, [v.len()])?,
        };
        checks::vectors(&layer.u, &layer.v, view)?;
        Ok(layer)
    }

    /// The options of the layer.
    #[must_use]
    pub fn options(&self) -> &SpectralNormOptions {
        &self.options
    }

    /// The shape of the weights that it takes.
    #[must_use]
    pub fn weight_shape(&self) -> &Shape {
        &self.shape
    }

    /// The estimate of the left singular vector, `[H]`.
    #[must_use]
    pub fn u(&self) -> &Tensor {
        &self.u
    }

    /// The estimate of the right singular vector, `[K]`.
    #[must_use]
    pub fn v(&self) -> &Tensor {
        &self.v
    }

    /// Training: moves u and v by the layer's power iterations and divides by their sigma. Returns w,
    /// shaped like the weight, and what the backward needs.
    pub fn forward_train(
        &self,
        recorder: &mut Recorder<'_>,
        weight: &Tensor,
    ) -> Result<(Tensor, SpectralSaved)> {
        self.record(recorder, weight, self.options.power_iterations)
    }

    /// Evaluation: w by u and v as they are.
    pub fn infer(&self, recorder: &mut Recorder<'_>, weight: &Tensor) -> Result<Tensor> {
        Ok(self.record(recorder, weight, 0)?.0)
    }

    /// Evaluation with what a backward needs: for a layer that is frozen, or the second run of a
    /// checkpointed step, which must not move u and v twice.
    pub fn forward_eval(
        &self,
        recorder: &mut Recorder<'_>,
        weight: &Tensor,
    ) -> Result<(Tensor, SpectralSaved)> {
        self.record(recorder, weight, 0)
    }

    /// The gradient by the weight, shaped like it. The weight is the one of the forward, unchanged, and
    /// dw the gradient by its w.
    pub fn backward(
        &self,
        recorder: &mut Recorder<'_>,
        weight: &Tensor,
        dw: &Tensor,
        saved: &SpectralSaved,
    ) -> Result<Tensor> {
        let view = self.check(weight)?;
        if (&saved.shape, saved.view) != (&self.shape, view) {
            return Err(Error::Shape {
                name: "weight",
                expected: format!("what the forward had: {}", saved.shape),
                got: self.shape.clone(),
            });
        }
        let dweight = recorder.device().empty(weight.shape(), DType::F32)?;
        let tensors = Backward {
            weight,
            dw,
            saved: &saved.saved,
            dweight: &dweight,
        };
        functional::backward(recorder, &tensors, &self.options)?;
        Ok(dweight)
    }

    fn record(
        &self,
        recorder: &mut Recorder<'_>,
        weight: &Tensor,
        power_iterations: u32,
    ) -> Result<(Tensor, SpectralSaved)> {
        let view = self.check(weight)?;
        let device = recorder.device().clone();
        let plan = functional::plan(&device, &self.shape, &self.options)?;
        let saved = device.empty([plan.runs.len as usize], DType::F32)?;
        let w = device.empty(&self.shape, DType::F32)?;
        let tensors = Forward {
            weight,
            w: &w,
            u: &self.u,
            v: &self.v,
            saved: &saved,
        };
        functional::forward(recorder, &tensors, &self.options, power_iterations)?;
        let saved = SpectralSaved {
            state: MatrixState::new(&plan, &saved),
            slots: plan.slots,
            shape: self.shape.clone(),
            view,
            saved,
        };
        Ok((w, saved))
    }

    /// Refuses a weight that is not shaped like the layer's.
    fn check(&self, weight: &Tensor) -> Result<View> {
        if weight.shape() == &self.shape {
            return checks::view(&self.shape, &self.options);
        }
        Err(Error::Shape {
            name: "weight",
            expected: format!("{}, the shape of the layer's weight", self.shape),
            got: weight.shape().clone(),
        })
    }
}

impl SpectralSaved {
    /// What the forward divided by, `[1]`.
    #[must_use]
    pub fn sigma(&self) -> Tensor {
        self.state.sigma.clone()
    }

    /// The u that the forward used, `[H]`.
    #[must_use]
    pub fn u(&self) -> Tensor {
        self.state.vector(self.slots).clone()
    }

    /// The v that the forward used, `[K]`.
    #[must_use]
    pub fn v(&self) -> Tensor {
        self.state.vector(self.slots.other()).clone()
    }
}
