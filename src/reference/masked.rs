//! Batch norm of a batch that is only partly there, such as sequences of different lengths.

use super::{BatchNorm, Forward, Gradients, Moments, expect_len, extents, moments, update_running};
use crate::Shape;

/// A batch-norm layer over the valid part of x: the layer on what is left when the masked elements
/// are taken out, and put back where it came from, with zeros between.
///
/// The mask has one value for each place, which all channels share: it has x's shape without the
/// channel axis, N·S values in memory order, true where x is valid. Masked elements count in no sum
/// and no n, and are not looked at: they may be NaN in every argument. They are 0 in y and dx.
///
/// All methods panic where those of [`BatchNorm`] do, and if the mask has another length than N·S.
///
/// A [`Tail`](super::Tail) knows no mask, so what it gives has to be [cleared](Self::clear), y as
/// well as dresidual:
///
/// ```
/// use wgnorm::{Shape, reference};
///
/// let shape = Shape::from([3, 1]);
/// let layer = reference::MaskedBatchNorm {
///     layer: reference::BatchNorm {
///         shape: &shape,
///         axis: 1,
///         gamma: None,
///         beta: None,
///         eps: 9.0,
///     },
///     mask: &[true, false, true],
/// };
/// let residual = [1.0, f64::NAN, -1.0];
/// let tail = reference::Tail {
///     residual: Some(&residual),
///     relu: true,
/// };
/// let x = [1.0, f64::NAN, 9.0]; // normed: -0.8, nothing, and 0.8
/// let y = layer.clear(&tail.apply(&layer.forward(&x).y));
/// assert!((y[0] - 0.2).abs() < 1e-15);
/// assert_eq!(y[1..], [0.0, 0.0]);
///
/// let dresidual = layer.clear(&tail.gate(&y, &[5.0, f64::NAN, 7.0]));
/// assert_eq!(dresidual, [5.0, 0.0, 0.0]);
/// assert_eq!(layer.backward(&x, &dresidual).dbeta, [5.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaskedBatchNorm<'a> {
    /// The layer, with the shape of all of x.
    pub layer: BatchNorm<'a>,
    /// Which places are valid (N·S).
    pub mask: &'a [bool],
}

impl MaskedBatchNorm<'_> {
    /// The training forward, by the statistics of the valid elements.
    ///
    /// A single valid element per channel gives beta, as its variance is 0. Without any the mean,
    /// the variance and rstd are NaN, and enter into nothing.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`MaskedBatchNorm`].
    #[must_use]
    pub fn forward(&self, x: &[f64]) -> Forward {
        let valid = Valid::of(self);
        let forward = valid.layer(self).forward(&valid.gather("x", x));
        Forward {
            y: valid.scatter(&forward.y),
            ..forward
        }
    }

    /// The forward by given statistics, `mean` (C) and `var` (C), however few elements are valid.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`MaskedBatchNorm`].
    #[must_use]
    pub fn normalize(&self, x: &[f64], mean: &[f64], var: &[f64]) -> Vec<f64> {
        let valid = Valid::of(self);
        let layer = valid.layer(self);
        valid.scatter(&layer.normalize(&valid.gather("x", x), mean, var))
    }

    /// The backward through [`forward`](Self::forward), with sums and n of the valid elements.
    ///
    /// With one valid element per channel dx and dgamma are 0 and dbeta is its dy, since y is beta
    /// whatever x is; without any all of them are 0.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`MaskedBatchNorm`].
    #[must_use]
    pub fn backward(&self, x: &[f64], dy: &[f64]) -> Gradients {
        let valid = Valid::of(self);
        let (x, dy) = (valid.gather("x", x), valid.gather("dy", dy));
        valid.scatter_dx(valid.layer(self).backward(&x, &dy))
    }

    /// The backward through [`normalize`](Self::normalize), where `mean` (C) and `var` (C) are
    /// constants.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`MaskedBatchNorm`].
    #[must_use]
    pub fn backward_frozen(&self, x: &[f64], dy: &[f64], mean: &[f64], var: &[f64]) -> Gradients {
        let valid = Valid::of(self);
        let (x, dy) = (valid.gather("x", x), valid.gather("dy", dy));
        valid.scatter_dx(valid.layer(self).backward_frozen(&x, &dy, mean, var))
    }

    /// The sums of [`backward`](Self::backward) with the magnitudes of all their terms, which is
    /// what their rounding errors have to be measured against.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`MaskedBatchNorm`].
    #[must_use]
    pub fn magnitudes(&self, x: &[f64], dy: &[f64]) -> Gradients {
        let valid = Valid::of(self);
        let (x, dy) = (valid.gather("x", x), valid.gather("dy", dy));
        valid.scatter_dx(valid.layer(self).magnitudes(&x, &dy))
    }

    /// The statistics of the valid elements of each channel, and how many these are.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`MaskedBatchNorm`].
    #[must_use]
    pub fn moments(&self, x: &[f64]) -> Moments {
        let valid = Valid::of(self);
        moments(&valid.gather("x", x), &valid.shape, 0)
    }

    /// Moves running statistics (C) towards those of a batch (C), as
    /// [`update_running`](super::update_running) does, but leaves them alone where fewer than two
    /// elements per channel are valid, of which there is no variance.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`MaskedBatchNorm`].
    pub fn update_running(&self, running: &mut [f64], batch: &[f64], weight_of_new: f64) {
        expect_len("batch", batch.len(), running.len());
        if Valid::of(self).per_channel() >= 2 {
            update_running(running, batch, weight_of_new);
        }
    }

    /// `values` (the shape of x) with a 0 in every masked place, whatever was there.
    ///
    /// # Panics
    ///
    /// If lengths do not fit each other, see [`MaskedBatchNorm`].
    #[must_use]
    pub fn clear(&self, values: &[f64]) -> Vec<f64> {
        let valid = Valid::of(self);
        valid.scatter(&valid.gather("values", values))
    }
}

/// Where the valid elements lie. Taken out they make a tensor of their own, (C, valid places).
struct Valid {
    /// The shape of what is taken out; its channels lie along dimension 0.
    shape: Shape,
    /// The index in x of each of its elements.
    elements: Vec<usize>,
    /// How many elements x has.
    numel: usize,
}

impl Valid {
    fn of(masked: &MaskedBatchNorm<'_>) -> Self {
        let (n, c, s) = extents(masked.layer.shape, masked.layer.axis);
        expect_len("mask", masked.mask.len(), n * s);
        let mut elements = Vec::new();
        for c_of_x in 0..c {
            for n_of_x in 0..n {
                for s_of_x in 0..s {
                    if masked.mask[n_of_x * s + s_of_x] {
                        elements.push((n_of_x * c + c_of_x) * s + s_of_x);
                    }
                }
            }
        }
        let places = masked.mask.iter().filter(|&&valid| valid).count();
        Self {
            shape: Shape::from([c, places]),
            elements,
            numel: n * c * s,
        }
    }

    fn per_channel(&self) -> usize {
        self.shape.dims()[1]
    }

    /// The layer on what is taken out.
    fn layer<'a>(&'a self, masked: &MaskedBatchNorm<'a>) -> BatchNorm<'a> {
        BatchNorm {
            shape: &self.shape,
            axis: 0,
            ..masked.layer
        }
    }

    /// Takes the valid elements out of an argument with the shape of x.
    fn gather(&self, name: &str, values: &[f64]) -> Vec<f64> {
        expect_len(name, values.len(), self.numel);
        self.elements.iter().map(|&i| values[i]).collect()
    }

    /// Puts the valid elements back among zeros.
    fn scatter(&self, valid: &[f64]) -> Vec<f64> {
        let mut values = vec![0.0; self.numel];
        for (&i, valid) in self.elements.iter().zip(valid) {
            values[i] = *valid;
        }
        values
    }

    fn scatter_dx(&self, gradients: Gradients) -> Gradients {
        Gradients {
            dx: self.scatter(&gradients.dx),
            ..gradients
        }
    }
}
