//! One shape in one layout, and the operations that are measured on it.

use clap::ValueEnum;
use wgnorm::functional::Operation;
use wgnorm::{DType, PlanOptions, Shape, Strategy};

use crate::norm::{Norm, Options};
use crate::suite::Dims;
use crate::tail::Tail;

/// Where the channels lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Layout {
    ChannelsFirst,
    ChannelsLast,
}

impl Layout {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ChannelsFirst => "channels_first",
            Self::ChannelsLast => "channels_last",
        }
    }
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Op {
    Inference,
    Forward,
    Backward,
}

impl Op {
    pub(crate) const ALL: [Self; 3] = [Self::Inference, Self::Forward, Self::Backward];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Inference => "inference",
            Self::Forward => "forward",
            Self::Backward => "backward",
        }
    }

    pub(crate) fn operation(self) -> Operation {
        match self {
            Self::Inference => Operation::Inference,
            Self::Forward => Operation::Forward,
            Self::Backward => Operation::Backward,
        }
    }

    /// The passes over the activation that no implementation can do without: it loads its inputs
    /// and stores its output once.
    pub(crate) fn ideal_passes(self) -> f64 {
        match self {
            Self::Inference | Self::Forward => 2.0,
            Self::Backward => 3.0,
        }
    }
}

/// One shape in one layout under one strategy.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) suite: &'static str,
    pub(crate) norm: Norm,
    pub(crate) tail: Tail,
    pub(crate) dims: Dims,
    pub(crate) layout: Layout,
    /// None leaves the choice to the planner.
    pub(crate) strategy: Option<Strategy>,
    /// The type of the activations.
    pub(crate) dtype: DType,
    pub(crate) ops: Vec<Op>,
}

impl Case {
    /// The dimensions as they lie in memory.
    pub(crate) fn device_shape(&self) -> Shape {
        let mut dims = self.dims.0.clone();
        if self.layout == Layout::ChannelsLast {
            dims[1..].rotate_left(1);
        }
        Shape::from(dims)
    }

    pub(crate) fn channel_axis(&self) -> usize {
        match self.layout {
            Layout::ChannelsFirst => 1,
            Layout::ChannelsLast => self.dims.0.len() - 1,
        }
    }

    pub(crate) fn options(&self) -> Options {
        let plan = PlanOptions {
            strategy: self.strategy,
            ..PlanOptions::default()
        };
        let options = self.norm.options(self.channel_axis(), plan);
        options.followed_by(self.tail.activation())
    }

    /// The same without its tail, where it has one.
    pub(crate) fn without_tail(&self) -> Option<Self> {
        let plain = Self {
            tail: Tail::None,
            ..self.clone()
        };
        (self.tail != Tail::None).then_some(plain)
    }

    /// Whether the norm has running statistics to infer by; else inference is its forward.
    pub(crate) fn has_running(&self) -> bool {
        self.norm == Norm::Batch
    }

    pub(crate) fn channels(&self) -> usize {
        self.dims.0[1]
    }

    /// Values per channel.
    pub(crate) fn n(&self) -> usize {
        self.device_shape().numel() / self.channels()
    }

    /// B: the bytes of one pass over the activation.
    pub(crate) fn bytes(&self) -> u64 {
        self.dtype.size() * self.device_shape().numel() as u64
    }

    /// What a bit of each element is of one pass.
    pub(crate) fn bits(&self) -> f64 {
        self.device_shape().numel() as f64 / 8.0 / self.bytes() as f64
    }

    /// What the filter looks at.
    pub(crate) fn name(&self, op: Op) -> String {
        let layout = self.layout.name();
        let (suite, norm, op) = (self.suite, self.norm.name(), op.name());
        let name = format!("{suite}/{norm}/{op}/{}/{layout}", self.dims.letters());
        match self.tail {
            Tail::None => name,
            tail => format!("{name}/{}", tail.name()),
        }
    }
}
