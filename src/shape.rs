//! Shapes as the caller writes them, and the view in which every norm sees them.

use std::fmt;

use crate::Error;

/// The dimensions of a contiguous tensor in memory order: the last one varies fastest.
///
/// `[32, 64, 56, 56]` is a channels-first (N, C, H, W) image batch; the same batch stored channels
/// last is `[32, 56, 56, 64]`. There are no strides: a tensor is always contiguous.
///
/// ```
/// let shape = wgnorm::Shape::from([32, 64, 28, 28]);
/// assert_eq!(shape.numel(), 1_605_632);
/// assert_eq!(shape.to_string(), "[32, 64, 28, 28]");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// The dimensions in memory order.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// How many dimensions there are.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The number of elements; `usize::MAX` when the product does not fit a `usize`, which every
    /// size check that follows refuses.
    #[must_use]
    pub fn numel(&self) -> usize {
        if self.0.contains(&0) {
            return 0;
        }
        self.0.iter().fold(1, |n, &d| n.saturating_mul(d))
    }
}

impl<const RANK: usize> From<[usize; RANK]> for Shape {
    fn from(dims: [usize; RANK]) -> Self {
        Self(dims.to_vec())
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Self {
        Self(dims.to_vec())
    }
}

impl<const RANK: usize> From<&[usize; RANK]> for Shape {
    fn from(dims: &[usize; RANK]) -> Self {
        Self(dims.to_vec())
    }
}

impl From<&Vec<usize>> for Shape {
    fn from(dims: &Vec<usize>) -> Self {
        Self(dims.clone())
    }
}

impl From<Vec<usize>> for Shape {
    fn from(dims: Vec<usize>) -> Self {
        Self(dims)
    }
}

impl From<&Shape> for Shape {
    fn from(shape: &Shape) -> Self {
        shape.clone()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// A contiguous tensor seen as `[batch, outer, count, inner]`: within batch entry *b* the slot of
/// element *i* is `b·count + (i / inner) % count`, and a slot's members are the `outer × inner`
/// elements that share it.
///
/// For batch norm a slot is a channel. Channels first (N, C, S) is `[1, N, C, S]`, channels last is
/// `[1, N·S, C, 1]`, and a channel axis in the middle is whatever lies before and behind it. For
/// layer norm a slot is a row, for group and instance norm it is the channel of one sample.
///
/// ```
/// use wgnorm::{Shape, View};
/// let view = View::channels(&Shape::from([32, 64, 28, 28]), 1)?;
/// assert_eq!((view.outer, view.count, view.inner), (32, 64, 784));
/// assert_eq!(view.slot_len(), 25_088);
/// # Ok::<(), wgnorm::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// Parts of the tensor that share no slot.
    pub batch: usize,
    /// How often the run of all slots is repeated in each of them.
    pub outer: usize,
    /// How many slots (channels) each of them has.
    pub count: usize,
    /// How many consecutive elements belong to one slot.
    pub inner: usize,
}

impl View {
    /// The view of a tensor whose channels lie along dimension `axis` (counted from 0).
    ///
    /// Fails with [`Error::Shape`] when the rank is below 2, the axis is out of range or there is
    /// no channel.
    pub fn channels(shape: &Shape, axis: usize) -> Result<Self, Error> {
        let dims = Self::with_channels(shape, axis)?;
        Ok(Self {
            batch: 1,
            outer: Shape::from(&dims[..axis]).numel(),
            count: dims[axis],
            inner: Shape::from(&dims[axis + 1..]).numel(),
        })
    }

    /// The view in which every sample has channels of its own: dimension 0 counts the samples, and
    /// `axis` is the dimension of the channels.
    ///
    /// Fails as [`channels`](Self::channels) does, and for an axis of 0.
    pub fn samples(shape: &Shape, axis: usize) -> Result<Self, Error> {
        let dims = Self::with_channels(shape, axis)?;
        if axis == 0 {
            return Err(refused(
                shape,
                "a channel axis other than 0, which counts the samples",
            ));
        }
        Ok(Self {
            batch: dims[0],
            outer: Shape::from(&dims[1..axis]).numel(),
            count: dims[axis],
            inner: Shape::from(&dims[axis + 1..]).numel(),
        })
    }

    /// The view in which every row is a slot: a row has the elements of the last `normalized_dims`
    /// dimensions.
    ///
    /// Fails with [`Error::Shape`] when there are fewer dimensions or the rows have no element.
    pub fn rows(shape: &Shape, normalized_dims: usize) -> Result<Self, Error> {
        let dims = shape.dims();
        let Some(axis) = dims.len().checked_sub(normalized_dims) else {
            let expected = format!("at least {normalized_dims} dimensions to normalize over");
            return Err(refused(shape, &expected));
        };
        let inner = Shape::from(&dims[axis..]).numel();
        if normalized_dims == 0 || inner == 0 {
            return Err(refused(shape, "rows of at least one element"));
        }
        Ok(Self {
            batch: 1,
            outer: 1,
            count: Shape::from(&dims[..axis]).numel(),
            inner,
        })
    }

    fn with_channels(shape: &Shape, axis: usize) -> Result<&[usize], Error> {
        let dims = shape.dims();
        if dims.len() < 2 {
            return Err(refused(shape, "at least 2 dimensions"));
        }
        if axis >= dims.len() {
            let expected = format!("more than {axis} dimensions, since {axis} is the channel axis");
            return Err(refused(shape, &expected));
        }
        if dims[axis] == 0 {
            let expected = format!("at least 1 channel along dimension {axis}");
            return Err(refused(shape, &expected));
        }
        Ok(dims)
    }

    /// The number of elements that share a slot: n in every formula.
    #[must_use]
    pub fn slot_len(&self) -> usize {
        self.outer.saturating_mul(self.inner)
    }

    /// The number of slots in all batch entries.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.batch.saturating_mul(self.count)
    }

    /// The number of elements in all slots.
    #[must_use]
    pub fn numel(&self) -> usize {
        self.slot_len().saturating_mul(self.slots())
    }
}

fn refused(shape: &Shape, expected: &str) -> Error {
    Error::Shape {
        name: "x",
        expected: expected.to_owned(),
        got: shape.clone(),
    }
}
