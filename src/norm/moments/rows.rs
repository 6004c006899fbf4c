//! Tensors with something of every channel in each row, and how rows merge.

use crate::gpu::{DType, Device, Recorder, Tensor};
use crate::kernels::{Merge, merge_moments, merge_sums};
use crate::norm::checks;
use crate::plan::{Channels, Parts};
use crate::{Error, Result, Shape};

/// One row of a tensor of moments `[rows, C, 4]` or of sums `[rows, C, 2]`: where a result goes.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The tensor.
    pub tensor: &'a Tensor,
    /// Which of its rows, from 0.
    pub index: usize,
}

impl<'a> Row<'a> {
    /// That row of the tensor.
    #[must_use]
    pub fn of(tensor: &'a Tensor, index: usize) -> Self {
        Self { tensor, index }
    }

    /// The merge of what a state has of each channel into this row.
    pub(in crate::norm) fn merge_of(self, state: &'a Tensor, parts: Parts) -> Merge<'a> {
        Merge {
            source: Some(state),
            parts,
            merged: self.tensor,
            row: self.index,
            keeps: false,
        }
    }
}

/// The first row of a tensor, or all of one that has no more.
impl<'a> From<&'a Tensor> for Row<'a> {
    fn from(tensor: &'a Tensor) -> Self {
        Self::of(tensor, 0)
    }
}

/// What the device has for each channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Moments,
    Sums,
}

impl Kind {
    const fn values(self) -> usize {
        match self {
            Self::Moments => 4,
            Self::Sums => 2,
        }
    }
}

pub(super) fn merge_rows(
    recorder: &mut Recorder<'_>,
    kind: Kind,
    sources: &[&Tensor],
    out: Row<'_>,
) -> Result<()> {
    let device = recorder.device().clone();
    let (_, count) = rows_of(&device, ("out", out.tensor), kind)?;
    check_row(&device, ("out", out), count, kind)?;
    checks::one_device(&device, &[("out", out.tensor)])?;
    let channels = Channels::new(count, device.limits())?;
    let mut dispatches = Vec::with_capacity(sources.len().max(1));
    let mut merges = Vec::with_capacity(sources.len().max(1));
    let mut keeps = false;
    for (i, &source) in sources.iter().enumerate() {
        let name = "moments or sums";
        let (rows, _) = rows_of(&device, (name, source), kind)?;
        check_channels((name, source), count, kind)?;
        checks::one_device(&device, &[(name, source)])?;
        if i == 0 && rows == 1 && source.same_place(out.tensor) {
            keeps = true;
            continue;
        }
        checks::disjoint(&[(name, source), ("out", out.tensor)], &[])?;
        merges.push(Merge {
            // A tensor without rows cannot be bound.
            source: (rows > 0).then_some(source),
            parts: Parts::of_rows(rows, channels.count)?,
            merged: out.tensor,
            row: out.index,
            keeps,
        });
        keeps = true;
    }
    if sources.is_empty() {
        merges.push(Merge {
            source: None,
            parts: Parts::default(),
            merged: out.tensor,
            row: out.index,
            keeps,
        });
    }
    for merge in &merges {
        dispatches.push(match kind {
            Kind::Moments => merge_moments::prepare(merge, recorder, &channels)?,
            Kind::Sums => merge_sums::prepare(merge, recorder, &channels)?,
        });
    }
    recorder.dispatch(dispatches);
    Ok(())
}

/// Rows and channels of a tensor of moments or sums.
pub(super) fn rows_of(
    device: &Device,
    (name, tensor): (&'static str, &Tensor),
    kind: Kind,
) -> Result<(usize, usize)> {
    tensor.expect_dtype(name, DType::F32)?;
    let (needed, limit) = (tensor.bytes(), device.limits().max_binding_bytes);
    if needed > limit {
        return Err(Error::TooLarge {
            name,
            needed,
            limit,
        });
    }
    match tensor.shape().dims() {
        [rows @ .., channels, last] if *last == kind.values() && *channels > 0 => {
            Ok((Shape::from(rows).numel(), *channels))
        }
        _ => Err(Error::Shape {
            name,
            expected: format!("[C, {0}] or [rows, C, {0}]", kind.values()),
            got: tensor.shape().clone(),
        }),
    }
}

fn check_channels((name, tensor): (&'static str, &Tensor), count: usize, kind: Kind) -> Result<()> {
    let dims = tensor.shape().dims();
    if dims[dims.len() - 2] == count {
        return Ok(());
    }
    Err(Error::Shape {
        name,
        expected: format!("[{count}, {0}] or [rows, {count}, {0}]", kind.values()),
        got: tensor.shape().clone(),
    })
}

pub(super) fn check_row(
    device: &Device,
    (name, row): (&'static str, Row<'_>),
    count: usize,
    kind: Kind,
) -> Result<()> {
    let (rows, _) = rows_of(device, (name, row.tensor), kind)?;
    check_channels((name, row.tensor), count, kind)?;
    if row.index < rows {
        return Ok(());
    }
    Err(Error::Shape {
        name,
        expected: format!(
            "more than {} rows of [{count}, {}]",
            row.index,
            kind.values()
        ),
        got: row.tensor.shape().clone(),
    })
}

pub(super) fn check_one_row(
    (name, tensor): (&'static str, &Tensor),
    count: usize,
    kind: Kind,
) -> Result<()> {
    let what = "merged to one row";
    let len = count.saturating_mul(kind.values());
    checks::vector((name, tensor), DType::F32, len, what)
}
