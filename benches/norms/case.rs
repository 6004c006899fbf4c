//! One shape in one layout, and the operations that are measured on it.

use clap::ValueEnum;
use wgnorm::functional::Operation;
use wgnorm::{BatchNormOptions, DType, Device, PlanOptions, Result, Shape, Strategy};

use crate::norm::{Norm, Options, batch_options};
use crate::pieces;
use crate::suite::Dims;
use crate::tail::Tail;
use crate::way::Way;

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
    pub(crate) way: Way,
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
        let options = self.norm.options(self.channel_axis(), self.plan());
        options.followed_by(self.tail.activation())
    }

    /// The options where the norm is batch norm without a tail, which alone goes other ways.
    pub(crate) fn batch_options(&self) -> BatchNormOptions {
        batch_options(self.channel_axis(), self.plan())
    }

    fn plan(&self) -> PlanOptions {
        PlanOptions {
            strategy: self.strategy,
            ..PlanOptions::default()
        }
    }

    /// How many f32 the state needs; fails where the operation itself would.
    pub(crate) fn state_len(&self, device: &Device) -> Result<usize> {
        let (options, shape) = (self.options(), self.device_shape());
        match self.way {
            Way::Whole => options.state_len(device, &shape),
            Way::Masked => options.masked_state_len(device, &shape),
            Way::Pieces => pieces::state_len(device, self),
        }
    }

    /// The same without its tail and of the whole batch, where that is another.
    pub(crate) fn plain(&self) -> Option<Self> {
        let plain = Self {
            tail: Tail::None,
            way: Way::Whole,
            ..self.clone()
        };
        ((plain.tail, plain.way) != (self.tail, self.way)).then_some(plain)
    }

    /// Whether there is such a case: only batch norm without a tail goes other ways than the whole batch.
    pub(crate) fn exists(&self) -> bool {
        match self.way {
            Way::Whole => true,
            _ if self.norm != Norm::Batch || self.tail != Tail::None => false,
            Way::Masked => true,
            Way::Pieces => pieces::has_halves(self),
        }
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
        match (self.tail, self.way) {
            (Tail::None, Way::Whole) => name,
            (Tail::None, way) => format!("{name}/{}", way.name()),
            (tail, _) => format!("{name}/{}", tail.name()),
        }
    }
}
