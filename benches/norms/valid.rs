//! What a mask calls valid: the batch without the rest is what float64 is asked about.

use wgnorm::Shape;

use crate::case::Case;
use crate::verify::Verdict;

/// The elements of a batch that count, and those that do not.
pub(crate) struct Valid {
    /// Position by position, each with all of its channels.
    elements: Vec<usize>,
    others: Vec<usize>,
    channels: usize,
}

impl Valid {
    /// By a mask with a value for each position, in the order of the memory.
    pub(crate) fn of(case: &Case, mask: &[bool]) -> Self {
        let (shape, axis) = (case.device_shape(), case.channel_axis());
        let channels = case.channels();
        let inner: usize = shape.dims()[axis + 1..].iter().product();
        let mut valid = Self {
            elements: Vec::new(),
            others: Vec::new(),
            channels,
        };
        for (position, &is_valid) in mask.iter().enumerate() {
            let (outer, within) = (position / inner, position % inner);
            let first = outer * channels * inner + within;
            let kind = if is_valid {
                &mut valid.elements
            } else {
                &mut valid.others
            };
            kind.extend((0..channels).map(|c| first + c * inner));
        }
        valid
    }

    /// The shape of what counts; its channels are the second dimension.
    pub(crate) fn shape(&self) -> Shape {
        Shape::from([self.elements.len() / self.channels, self.channels])
    }

    /// What counts of the values of a whole batch.
    pub(crate) fn gather<T: Copy>(&self, values: &[T]) -> Vec<T> {
        self.elements.iter().map(|&i| values[i]).collect()
    }
}

impl Verdict {
    /// What does not count is 0 in a result of the whole batch.
    pub(crate) fn hold_cleared(&mut self, name: &str, got: &[f32], valid: &Valid) {
        let left = valid.others.iter().filter(|&&i| got[i] != 0.0).count();
        if left > 0 {
            let failure = format!("{name} is not 0 in {left} elements that are masked out");
            self.failures.push(failure);
        }
    }
}
