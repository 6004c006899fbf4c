//! Batch norm of what a mask calls valid: how many values a statistic is of is known only on the device,
//! so that their moments are merged and finished by dispatches of their own.

use super::checks;
use super::functional::{self, Backward, Forward};
use super::gradients::Step;
use super::numbers::forward_numbers;
use super::options::{Activation, Mode, Statistics};
use super::planning::{bounded_state, of_any_type, plan};
use super::spec::{Kind, NormOptions, Spec};
use crate::gpu::{Device, Prepared, Recorder, Tensor};
use crate::kernels::{
    Finish, Flags, Merge, Numbers, finish_moments::FinishMoments, mask_bits::MaskBits,
    merge_moments, moments::Moments, normalize::Normalize, saved_vectors,
};
use crate::plan::{Channels, Gains, Parts, Pass, Plan, Strategy};
use crate::{Error, Result, Shape};

/// How many f32 the state of a forward with a mask and its backward needs for an x of this shape.
pub fn masked_state_len(
    device: &Device,
    shape: &Shape,
    options: &impl NormOptions,
) -> Result<usize> {
    let spec = options.specify(shape)?;
    of_any_type(|dtype| {
        let spec = spec.clone().of_type(dtype);
        Ok(Masked::new(device, shape, &spec)?.map_or(4, |masked| masked.len()))
    })
}

/// Records a forward with a mask, whose other arguments were checked.
pub(super) fn forward(
    recorder: &mut Recorder<'_>,
    tensors: &Forward<'_>,
    spec: &Spec,
    mode: Mode,
    mask: &Tensor,
) -> Result<()> {
    let Some(state) = tensors.state else {
        let (name, reason) = ("state", "what is valid is kept in it");
        return Err(Error::Missing { name, reason });
    };
    let shape = tensors.x.shape();
    let Some(masked) = Masked::new(recorder.device(), shape, spec)? else {
        return recorder.clear(&[("state", state)]);
    };
    masked.check_state(state)?;
    let dispatches = masked.forward(recorder, tensors, [mask, state], spec, mode)?;
    recorder.dispatch(dispatches);
    Ok(())
}

/// Records the backward of one.
pub(super) fn backward(
    recorder: &mut Recorder<'_>,
    tensors: &Backward<'_>,
    spec: &Spec,
    statistics: Statistics,
) -> Result<()> {
    let shape = tensors.x.shape();
    let Some(masked) = Masked::new(recorder.device(), shape, spec)? else {
        return functional::clear_gradients(recorder, tensors);
    };
    masked.check_state(tensors.state)?;
    let dispatches = masked.backward(recorder, tensors, spec, statistics)?;
    recorder.dispatch(dispatches);
    Ok(())
}

/// The plan of all dispatches of a step with a mask, and where its state has what.
pub(super) struct Masked {
    pub(super) plan: Plan,
    channels: u32,
    /// Words of vectors, then of the merged moments, of gates and of the mask.
    vectors: usize,
    merged: usize,
    gates: usize,
    mask: usize,
}

/// Words between any two places where a binding may begin.
const ALIGNED: usize = 64;

/// Masks are batch norm's alone.
pub(super) fn allowed(spec: &Spec) -> Result<()> {
    if spec.kind == Kind::Running && spec.reduction.gains == Gains::Slots {
        return Ok(());
    }
    Err(Error::Option {
        name: "mask",
        expected: "none, but for batch norm",
        got: "one".to_owned(),
    })
}

impl Masked {
    /// None for an empty x.
    pub(super) fn new(device: &Device, shape: &Shape, spec: &Spec) -> Result<Option<Self>> {
        allowed(spec)?;
        // Lanes hold what they have read for one dispatch, and here are several.
        let mut spec = spec.clone();
        spec.plan.strategy = spec.plan.strategy.filter(|&s| s != Strategy::Resident);
        let pass = match spec.activation {
            Activation::None => Pass::CumulativeForward,
            Activation::Relu => Pass::CumulativeGated,
        };
        let Some(plan) = plan(device, shape, &spec, pass)? else {
            return Ok(None);
        };
        let channels = spec.channels.count;
        let positions = shape.numel() / channels;
        let masked = Self {
            channels: channels as u32,
            vectors: plan.state_len(2 * channels).next_multiple_of(ALIGNED),
            merged: (4 * channels).next_multiple_of(ALIGNED),
            gates: plan.gates as usize,
            mask: positions.div_ceil(32),
            plan,
        };
        bounded_state(device, masked.len())?;
        Ok(Some(masked))
    }

    fn len(&self) -> usize {
        self.vectors + self.merged + self.gates + self.mask
    }

    pub(super) fn check_state(&self, state: &Tensor) -> Result<()> {
        checks::at_least(("state", state), self.len())
    }

    /// What any dispatch is told of an operation with a mask.
    pub(super) fn numbers(&self, numbers: Numbers) -> Numbers {
        let gates = self.vectors + self.merged;
        Numbers {
            flags: numbers.flags | Flags::MASKED,
            saved: saved_vectors(self.channels),
            gates: gates as u32,
            mask: (gates + self.gates) as u32,
            ..numbers
        }
    }

    /// Prepares the dispatches of a forward.
    pub(super) fn forward(
        &self,
        recorder: &Recorder<'_>,
        tensors: &Forward<'_>,
        [mask, state]: [&Tensor; 2],
        spec: &Spec,
        mode: Mode,
    ) -> Result<Vec<Prepared>> {
        let mut dispatches = self.bits(recorder, mask, state)?;
        let by_batch = mode.statistics == Statistics::Batch;
        let mut finish = Vec::new();
        if by_batch || mode.update_running {
            // Before y is written, which may take the place of x.
            dispatches.extend(self.moments(recorder, tensors, state, spec)?);
            finish = self.finish(recorder, tensors, state, spec, mode)?;
        }
        let normalize = self.normalize(recorder, tensors, spec, mode)?;
        if by_batch {
            dispatches.extend(finish.into_iter().chain(normalize));
        } else {
            // What normalizes by the running statistics does so before they move.
            dispatches.extend(normalize.into_iter().chain(finish));
        }
        Ok(dispatches)
    }

    /// The bits of the mask, of as much of it at once as one binding holds.
    fn bits(
        &self,
        recorder: &Recorder<'_>,
        mask: &Tensor,
        state: &Tensor,
    ) -> Result<Vec<Prepared>> {
        let limits = recorder.device().limits();
        let room = limits.max_binding_bytes as usize / 4 / ALIGNED * ALIGNED;
        let positions = mask.shape().numel();
        let begin = self.vectors + self.merged + self.gates;
        let prepare = |first: usize| {
            let len = room.min(positions - first);
            let bits = MaskBits {
                mask: &mask.window([first as u64, len as u64]),
                state,
                first: (begin + first / 32) as u32,
            };
            bits.prepare(recorder, &Channels::new(len.div_ceil(32), limits)?)
        };
        (0..positions).step_by(room).map(prepare).collect()
    }

    /// The moment of each channel, in the place for the merged ones.
    fn moments(
        &self,
        recorder: &Recorder<'_>,
        tensors: &Forward<'_>,
        state: &Tensor,
        spec: &Spec,
    ) -> Result<Vec<Prepared>> {
        let moments = Moments {
            x: tensors.x,
            state,
            running_mean: None,
            running_var: None,
            tracked: None,
        };
        let none = Numbers {
            flags: Flags::default(),
            ..forward_numbers(tensors, spec, Mode::RECOMPUTE, 0)
        };
        let numbers = self.numbers(none);
        let mut dispatches = moments.prepare(recorder, &self.plan, &numbers)?;
        let merge = Merge {
            source: Some(&state.window([0, self.vectors as u64])),
            parts: Parts::of_plan(&self.plan, numbers.saved),
            merged: &self.merged_moments(state),
            row: 0,
            keeps: false,
        };
        dispatches.push(merge_moments::prepare(
            &merge,
            recorder,
            &self.channels(recorder)?,
        )?);
        Ok(dispatches)
    }

    /// What the merged moments become.
    fn finish(
        &self,
        recorder: &Recorder<'_>,
        tensors: &Forward<'_>,
        state: &Tensor,
        spec: &Spec,
        mode: Mode,
    ) -> Result<Vec<Prepared>> {
        let running = tensors.running.filter(|_| mode.update_running);
        let by_batch = mode.statistics == Statistics::Batch;
        let of_mode = forward_numbers(tensors, spec, mode, 0).flags;
        let finish = Finish {
            flags: Flags::SAVE.when(by_batch)
                | of_mode.only(Flags::UPDATE_RUNNING.and(Flags::HAS_TRACKED))
                | of_mode.only(Flags::CUMULATIVE.when(running.is_some())),
            eps: spec.eps,
            old_weight: spec.weights.0,
            new_weight: spec.weights.1,
            uncounted: spec.running_variance.uncounted(),
        };
        let finished = FinishMoments {
            moments: &self.merged_moments(state),
            state: Some(&state.window([0, self.vectors as u64])),
            running_mean: running.map(|running| running.mean),
            running_var: running.map(|running| running.var),
            tracked: running.and_then(|running| running.num_batches_tracked),
        };
        finished.prepare(recorder, &self.channels(recorder)?, &finish)
    }

    fn normalize(
        &self,
        recorder: &Recorder<'_>,
        tensors: &Forward<'_>,
        spec: &Spec,
        mode: Mode,
    ) -> Result<Vec<Prepared>> {
        let by_batch = mode.statistics == Statistics::Batch;
        let mode = Mode {
            update_running: false,
            ..mode
        };
        let mut numbers = self.numbers(forward_numbers(tensors, spec, mode, 0));
        if by_batch {
            numbers.flags = numbers.flags.without(Flags::SAVE) | Flags::SAVED;
        }
        let running = tensors.running.filter(|_| !by_batch);
        let normalize = Normalize {
            x: tensors.x,
            y: tensors.y,
            residual: tensors.residual,
            state: tensors.state,
            gamma: tensors.gamma,
            beta: tensors.beta,
            running_mean: running.map(|running| running.mean),
            running_var: running.map(|running| running.var),
        };
        normalize.prepare(recorder, &self.plan, &numbers)
    }

    fn channels(&self, recorder: &Recorder<'_>) -> Result<Channels> {
        Channels::new(self.channels as usize, recorder.device().limits())
    }

    fn merged_moments(&self, state: &Tensor) -> Tensor {
        state.window([self.vectors as u64, 4 * u64::from(self.channels)])
    }

    /// Prepares the dispatches of a backward.
    pub(super) fn backward(
        &self,
        recorder: &Recorder<'_>,
        tensors: &Backward<'_>,
        spec: &Spec,
        statistics: Statistics,
    ) -> Result<Vec<Prepared>> {
        let step = Step {
            recorder,
            spec,
            statistics,
            gates: 0,
            masked: Some(self),
        };
        step.prepare(tensors, &self.plan)
    }
}
