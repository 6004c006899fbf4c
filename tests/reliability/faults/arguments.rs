//! Operations on guarded tensors that are found by their names, so that a fault can spoil any of them.

use wgnorm::functional::{self, Backward, Forward, Running};
use wgnorm::{
    Activation, BatchNormOptions, DType, Device, Error, Mode, PlanOptions, Recorder, Shape,
    Statistics, Strategy, Tensor,
};

use crate::guarded::Guarded;

/// The shape of activations.
pub(super) const SHAPE: [usize; 3] = [4, 3, 50];

/// An operation of the functional layer with as many arguments as it takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operation {
    /// A training forward with a residual.
    Forward,
    /// A training forward with a mask.
    Masked,
    /// Inference by running statistics, with a residual.
    Infer,
    /// The backward of a forward with a residual.
    Backward,
    /// The backward of a forward with relu and no residual, which asks for beta.
    Gated,
}

impl Operation {
    pub(super) const ALL: [Self; 5] = [
        Self::Forward,
        Self::Masked,
        Self::Infer,
        Self::Backward,
        Self::Gated,
    ];

    /// Its arguments by the names that errors call them by.
    pub(super) fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Forward => &[
                "x",
                "y",
                "residual",
                "state",
                "gamma",
                "beta",
                "running_mean",
                "running_var",
                "num_batches_tracked",
            ],
            Self::Masked => &[
                "x",
                "y",
                "mask",
                "state",
                "gamma",
                "beta",
                "running_mean",
                "running_var",
                "num_batches_tracked",
            ],
            Self::Infer => &[
                "x",
                "y",
                "residual",
                "gamma",
                "beta",
                "running_mean",
                "running_var",
            ],
            Self::Backward => &[
                "x",
                "dy",
                "state",
                "gamma",
                "dx",
                "dresidual",
                "dgamma",
                "dbeta",
            ],
            Self::Gated => &["x", "dy", "state", "gamma", "beta", "dx", "dgamma", "dbeta"],
        }
    }
}

/// What has every name: canaries around it, and poison in what operations write.
pub(super) struct Arguments<'d> {
    pub(super) device: &'d Device,
    options: BatchNormOptions,
    batch: usize,
    tensors: Vec<(&'static str, Guarded)>,
}

const NAMES: [&str; 15] = [
    "x",
    "y",
    "residual",
    "dy",
    "dx",
    "dresidual",
    "mask",
    "state",
    "gamma",
    "beta",
    "running_mean",
    "running_var",
    "num_batches_tracked",
    "dgamma",
    "dbeta",
];

impl<'d> Arguments<'d> {
    pub(super) fn new(device: &'d Device) -> Self {
        Self::of_batch(device, SHAPE[0])
    }

    /// With another number of samples.
    pub(super) fn of_batch(device: &'d Device, batch: usize) -> Self {
        let mut arguments = Self {
            device,
            // Two dispatches: what the second one is refused must keep the first from running.
            options: BatchNormOptions {
                activation: Activation::Relu,
                plan: PlanOptions {
                    strategy: Some(Strategy::SplitRows),
                    class: None,
                },
                ..BatchNormOptions::default()
            },
            batch,
            tensors: Vec::new(),
        };
        for name in NAMES {
            let (shape, dtype) = (arguments.shape(name), arguments.dtype(name));
            let numel = shape.numel();
            let guarded = match name {
                "mask" => Guarded::new(device, &vec![1; numel], shape, dtype),
                "num_batches_tracked" => Guarded::new(device, &[3], shape, dtype),
                "y" | "dx" | "dresidual" | "state" | "dgamma" | "dbeta" => {
                    Guarded::poisoned(device, &shape)
                }
                _ => {
                    let values: Vec<f32> = (0..numel).map(|i| (i % 13) as f32 + 0.5).collect();
                    Guarded::input(device, &values, &shape)
                }
            };
            arguments.tensors.push((name, guarded));
        }
        arguments
    }

    pub(super) fn shape(&self, name: &str) -> Shape {
        let [_, channels, plane] = SHAPE;
        let x = Shape::from([self.batch, channels, plane]);
        match name {
            "x" | "y" | "residual" | "dy" | "dx" | "dresidual" => x,
            "mask" => [self.batch, plane].into(),
            "num_batches_tracked" => [1].into(),
            "state" => {
                let len = functional::state_len(self.device, &x, &self.options).unwrap();
                let masked = functional::masked_state_len(self.device, &x, &self.options).unwrap();
                [len.max(masked)].into()
            }
            _ => [channels].into(),
        }
    }

    #[allow(clippy::unused_self, reason = "asked for beside the shape")]
    pub(super) fn dtype(&self, name: &str) -> DType {
        match name {
            "mask" | "num_batches_tracked" => DType::U32,
            _ => DType::F32,
        }
    }

    /// Records an operation with other tensors in some places.
    pub(super) fn record(
        &self,
        recorder: &mut Recorder<'_>,
        operation: Operation,
        spoilt: &[(&str, &Tensor)],
    ) -> Result<(), Error> {
        let get = |name: &str| {
            let other = spoilt.iter().find(|(spoilt, _)| *spoilt == name);
            other.map_or_else(|| &self.guarded(name).tensor, |(_, tensor)| tensor)
        };
        let has = |name: &str| operation.arguments().contains(&name);
        let perhaps = |name: &str| has(name).then(|| get(name));
        if has("dy") {
            let backward = Backward {
                gamma: perhaps("gamma"),
                beta: perhaps("beta"),
                residual: operation == Operation::Backward,
                dx: perhaps("dx"),
                dresidual: perhaps("dresidual"),
                dgamma: perhaps("dgamma"),
                dbeta: perhaps("dbeta"),
                ..Backward::new(get("x"), get("dy"), get("state"))
            };
            return functional::backward(recorder, &backward, &self.options, Statistics::Batch);
        }
        let forward = Forward {
            state: perhaps("state"),
            gamma: perhaps("gamma"),
            beta: perhaps("beta"),
            running: Some(Running {
                mean: get("running_mean"),
                var: get("running_var"),
                num_batches_tracked: perhaps("num_batches_tracked"),
            }),
            residual: perhaps("residual"),
            mask: perhaps("mask"),
            ..Forward::new(get("x"), get("y"))
        };
        let mode = if operation == Operation::Infer {
            Mode::EVAL
        } else {
            Mode::TRAIN
        };
        functional::forward(recorder, &forward, &self.options, mode)
    }

    fn guarded(&self, name: &str) -> &Guarded {
        let found = self.tensors.iter().find(|(named, _)| *named == name);
        &found.unwrap().1
    }

    /// Nothing was written at all.
    pub(super) fn expect_untouched(&self) {
        for (name, guarded) in &self.tensors {
            guarded.expect_untouched(self.device, name);
        }
    }
}
